use proptest::prelude::*;

use super::*;

/// A pickle of protocol 2 around opcodes.
fn pickle(parts: &[&[u8]]) -> Vec<u8> {
    [b"\x80\x02", &parts.concat()[..], b"."].concat()
}

fn string(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn refused(bytes: &[u8]) -> String {
    match Pickle::read(bytes) {
        Err(PickleError::Refused(name)) => name,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn bad(bytes: &[u8]) -> String {
    match Pickle::read(bytes) {
        Err(PickleError::Bad(what)) => what,
        other => panic!("expected an error, got {other:?}"),
    }
}

#[test]
fn values_of_every_kind_are_read() {
    let bytes = pickle(&[
        b"}(",
        &string("int"),
        b"J\xff\xff\xff\xff",
        &string("long"),
        b"\x8a\x02\x00\x80",
        b"\x8c\x05tuple(K\x01M\x00\x01\x88Nt",
        &string("list"),
        b"](K\x01K\x02e",
        &string("float"),
        b"G\x3f\xf0\0\0\0\0\0\0",
        b"u",
    ]);
    let read = Pickle::read(&bytes).unwrap();
    assert_eq!(read.length, bytes.len());
    let Value::Dict(pairs) = read.get(read.root) else { panic!("not a dict") };
    let names: Vec<_> = pairs.iter().map(|&(key, _)| read.text(key).unwrap()).collect();
    assert_eq!(names, ["int", "long", "tuple", "list", "float"]);
    let value = |index: usize| read.get(pairs[index].1);
    assert_eq!(*value(0), Value::Int(-1));
    assert_eq!(read.size(pairs[0].1), None);
    assert_eq!(*value(1), Value::Int(-32768));
    let Value::Tuple(items) = value(2) else { panic!("not a tuple") };
    assert_eq!(read.size(items[1]), Some(256));
    assert_eq!(*read.get(items[2]), Value::Bool(true));
    assert!(matches!(value(3), Value::List(items) if items.len() == 2));
    assert_eq!(*value(4), Value::Other);
}

#[test]
fn a_pickle_ends_where_it_stops() {
    let bytes = [&pickle(&[b"K\x05"])[..], b"after"].concat();
    let read = Pickle::read(&bytes).unwrap();
    assert_eq!((read.size(read.root), read.length), (Some(5), 5));
}

#[test]
fn code_is_refused_by_name() {
    let system = pickle(&[b"cos\nsystem\n", &string("rm -rf /"), b"\x85R"]);
    assert_eq!(refused(&system), "os.system");
    let system = pickle(&[&string("posix"), &string("system"), b"\x93"]);
    assert_eq!(refused(&system), "posix.system");
    assert_eq!(refused(&pickle(&[b"c__builtin__\neval\n"])), "__builtin__.eval");
    assert_eq!(refused(&pickle(&[b"ctorch\nload\n"])), "torch.load");
    assert_eq!(refused(&pickle(&[b"ctorch.hub\nFloatStorage\n"])), "torch.hub.FloatStorage");
    assert_eq!(refused(&pickle(&[b"ca\x1b[31m\nb\n"])), "a\\u{1b}[31m.b");
    // Opcodes that would make objects without naming a global.
    for opcode in *b"io\x81\x92PVSILFd\x82l" {
        assert!(bad(&pickle(&[b"(", &[opcode]])).contains("an opcode"), "{opcode:#x}");
    }
}

#[test]
fn broken_pickles_are_errors() {
    assert!(bad(b"").contains("truncated"));
    assert!(bad(b"\x80\x02").contains("truncated"));
    assert!(bad(&pickle(&[])).contains("its stack is empty"));
    assert!(bad(&pickle(&[b"t"])).contains("no mark"));
    assert!(bad(&pickle(&[b"K\x01(0"])).contains("its stack is empty"));
    assert!(bad(&pickle(&[b"h\x07"])).contains("recalls"));
    assert!(bad(&pickle(&[b"K\x01K\x02a"])).contains("not a list"));
    assert!(bad(&pickle(&[b"K\x01K\x02K\x03s"])).contains("not a dict"));
    assert!(bad(&pickle(&[b"}(K\x01u"])).contains("without a value"));
    assert!(bad(&pickle(&[b"K\x01)R"])).contains("not a function"));
    assert!(bad(&pickle(&[b"ctorch\nFloatStorage\n)R"])).contains("wrong arguments"));
    assert!(bad(&pickle(&[b"K\x01}b"])).contains("attributes"));
    assert!(bad(&pickle(&[b"X\xff\xff\xff\xffabc"])).contains("truncated"));
    assert!(bad(&pickle(&[b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc"])).contains("truncated"));
    assert!(bad(&pickle(&[b"\x8b\xff\xff\xff\x7f"])).contains("truncated"));
    assert!(bad(&pickle(&[b"\x8a\x11", &[1; 17]])).contains("128 bits"));
    assert!(bad(&pickle(&[b"c", &[b'a'; 1000]])).contains("a name without an end"));
}

#[test]
fn a_list_within_itself_is_only_a_value() {
    let bytes = pickle(&[b"]q\x00h\x00a"]);
    let read = Pickle::read(&bytes).unwrap();
    assert_eq!(*read.get(read.root), Value::List(vec![read.root]));
}

#[test]
fn growth_is_bounded() {
    // Nested pairs of one remembered value would be 2^n values if they were copied.
    let bytes = pickle(&[b")q\x00", &b"h\x00h\x00\x86q\x00".repeat(1000)]);
    assert!(Pickle::read(&bytes).unwrap().values.len() < 2000);
    assert!(bad(&pickle(&[&b"K\x01".repeat(MAX)])).contains("too many values"));
    assert!(bad(&pickle(&[&b"N".repeat(MAX + 1)])).contains("on its stack"));
    assert!(bad(&pickle(&[&b"(".repeat(MAX + 1)])).contains("too many marks"));
    let remember = |index: u32| [b"r", &index.to_le_bytes()[..]].concat();
    let many: Vec<u8> = (0..=MAX as u32).flat_map(remember).collect();
    assert!(bad(&pickle(&[b"N", &many])).contains("too many remembered"));
    // One long list of pairs, made into a dict again and again.
    let list = [&b"]q\x00("[..], &b"K\x01K\x01\x86".repeat(9999), b"e0"];
    let call = b"h\x02h\x00\x85R0".repeat(200);
    let bytes = pickle(&[b"ccollections\nOrderedDict\nq\x02", &list.concat(), &call, b"N"]);
    assert!(bad(&bytes).contains("too many values"));
}

#[test]
fn an_ordered_dict_of_python_2_is_read() {
    let pair = [&b"]("[..], &string("a"), b"K\x07e"].concat();
    let bytes = pickle(&[b"ccollections\nOrderedDict\n](", &pair, b"e\x85R}b"]);
    let read = Pickle::read(&bytes).unwrap();
    let Value::Dict(pairs) = read.get(read.root) else { panic!("not a dict") };
    assert_eq!((read.text(pairs[0].0), read.size(pairs[0].1)), (Some("a"), Some(7)));
}

const MAX: usize = 1 << 20;

proptest! {
    #[test]
    fn any_bytes_give_a_result(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Pickle::read(&bytes);
    }

    #[test]
    fn any_opcodes_give_a_result(
        opcodes in prop::collection::vec(
            prop::sample::select(b".(012NKG)tesaubRQqhj]}\x85\x86\x87\x88\x93\x94".to_vec()),
            0..300,
        ),
    ) {
        if let Ok(read) = Pickle::read(&opcodes) {
            prop_assert!(read.values.len() <= opcodes.len() + 3);
            prop_assert!((read.root as usize) < read.values.len());
        }
    }
}

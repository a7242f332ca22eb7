//! The SVG image.

use glossator_view::By;
use glossator_view::render::svg::{Background, Options, Svg};
use glossator_view::render::to_string;
use glossator_view::wire::Document;

use crate::{sample, tasks};

fn image(documents: &[&Document], options: Options) -> String {
    to_string(&mut Svg::new(options), documents.iter().copied()).unwrap()
}

#[test]
fn says_in_words_what_it_shows() {
    let image = image(&[&sample::film()], Options::default());
    let lines: Vec<_> = image.lines().take(4).collect();
    insta::assert_snapshot!(lines.join("\n"), @r##"
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 200" width="720" height="200" role="img" font-family="Helvetica, Arial, 'Liberation Sans', 'Noto Sans', sans-serif">
    <title>positive 99.8%</title>
    <desc>why positive (logit); strongest first: touching +2.40, not -1.10, but -0.42, film +0.31, short +0.05</desc>
    <rect width="720" height="200" fill="#ffffff"/>
    "##);
}

#[test]
fn words_stand_on_their_shade_with_their_number() {
    let image = image(&[&sample::film()], Options::default());
    let line = image.lines().find(|line| line.contains(">touching<")).unwrap();
    insta::assert_snapshot!(line.replace("><", ">\n<"), @r##"
    <g text-anchor="middle">
    <rect x="40.9" y="72.6" width="67.6" height="22" rx="3" fill="#e3813f"/>
    <text x="74.7" y="89.1" font-size="16" fill="#0d0e10">touching</text>
    <text x="74.7" y="104.1" font-size="9" fill="#5b616e">+2.4</text>
    </g>
    "##);
}

/// Returns the numbers of an attribute in order.
fn numbers(image: &str, attribute: &str) -> Vec<f64> {
    let before = format!(" {attribute}=\"");
    let parts = image.split(&before).skip(1);
    parts.filter_map(|part| part.split('"').next().and_then(|n| n.parse().ok())).collect()
}

#[test]
fn everything_is_inside_the_view() {
    let text = "A touching film that never feels forced, https://example.org/a/very/long/path/to/nowhere/at/all ".repeat(5);
    let text = text + "电影很感人".repeat(20).as_str();
    for width in [100, 240, 400, 720] {
        let document = sample::document(&[("text", &text)], |n, _| (n as f64).sin());
        let image = image(&[&document, &document], Options { width, ..Options::default() });
        let (width, height) = (numbers(&image, "width")[0], numbers(&image, "height")[0]);
        assert!(image.contains(&format!("viewBox=\"0 0 {width} {height}\"")));
        assert!(numbers(&image, "x").iter().all(|x| *x >= 0.0 && *x < width));
        assert!(numbers(&image, "y").iter().all(|y| *y > 0.0 && *y < height));
        for rect in image.lines().filter(|line| line.contains("<rect x=")) {
            let rect = &rect[rect.find("<rect").unwrap()..];
            let right = numbers(rect, "x")[0] + numbers(rect, "width")[0];
            assert!(right <= width - 23.0, "{right} {width}: {rect}");
        }
    }
}

#[test]
fn each_colour_scale_has_its_own_name() {
    let film = sample::film();
    let image = image(&[&film, &film], Options { by: By::Token, ..Options::default() });
    for id in ["glossator-scale-0", "glossator-scale-1"] {
        assert_eq!(image.matches(&format!("id=\"{id}\"")).count(), 1);
        assert_eq!(image.matches(&format!("url(#{id})")).count(), 1);
    }
}

#[test]
fn the_sheet_may_be_transparent() {
    let film = sample::film();
    let sheet = "fill=\"#ffffff\"/>";
    assert!(image(&[&film], Options::default()).contains(sheet));
    let options = Options { background: Background::Transparent, ..Options::default() };
    assert!(!image(&[&film], options).contains(sheet));
}

#[test]
fn a_renderer_can_be_used_again() {
    let film = sample::film();
    let mut renderer = Svg::default();
    let first = to_string(&mut renderer, [&film]).unwrap();
    assert_eq!(first, to_string(&mut renderer, [&film]).unwrap());
}

#[test]
fn numbers_stay_behind_names_from_right_to_left() {
    let document = tasks::answer("Where?", "נולדה בורשה", Some("בורשה"));
    let image = image(&[&document], Options::default());
    let headline = image.lines().find(|line| line.contains("93.0%</text>")).unwrap();
    insta::assert_snapshot!(headline, @r##"<text x="24" y="42.0" font-size="18" fill="#16181d" font-weight="bold"><tspan unicode-bidi="isolate">“בורשה”</tspan> 93.0%</text>"##);
}

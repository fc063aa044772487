//! Every good machine has a golden tree; its SVG is well formed and names everything.

use std::path::PathBuf;

use kiln::machine::draw::{svg, tree};
use kiln::machine::topology::Topology;

use super::machine_support::{every, fixtures, golden, read};

#[test]
fn every_good_machine_has_its_golden_tree_and_picture() {
    for (stem, text) in every("good") {
        let machines = read(&text).machines;
        let trees: Vec<String> = machines.iter().map(tree).collect();
        golden(&fixtures("good").join(format!("{stem}.tree")), &trees.join("\n"));
        let picture = svg(&machines);
        for (name, count) in [("<svg", 1), ("</svg>", 1), ("<text", picture.matches("</text>").count())] {
            assert_eq!(picture.matches(name).count(), count, "{stem}: {name}");
        }
        for machine in &machines {
            for at in
                machine.cxl.iter().flat_map(|cxl| Topology::of(cxl).expanders().map(|at| at.serial).collect::<Vec<_>>())
            {
                assert!(picture.contains(&format!("sn 0x{at:x}")), "{stem} shows the serial number {at:x}");
            }
        }
        #[allow(clippy::disallowed_methods, reason = "a switch for whoever wants to look at the pictures")]
        if let Some(directory) = std::env::var_os("KILN_PICTURES") {
            let path = PathBuf::from(directory).join(format!("{stem}.svg"));
            kiln::world::fs::write_atomically(&path, picture.as_bytes()).unwrap();
        }
    }
}

/// The widest that words of a class may be, by character, in the fonts that browsers have.
fn width(class: &str, words: &str) -> f64 {
    let each = match class.split(' ').next().unwrap_or_default() {
        "title" => 13.0,
        "name" => 8.7,
        "size" => 7.9,
        "mono" => 7.0,
        _ => 7.0,
    };
    words.chars().count() as f64 * each
}

/// `(class, x, y, words)` of every text.
fn texts(picture: &str) -> Vec<(String, f64, f64, String)> {
    let text = regex::Regex::new(r#"<text class="([^"]*)" x="([0-9.]+)" y="([0-9.]+)">([^<]*)</text>"#).unwrap();
    let found = |found: regex::Captures<'_>| {
        (found[1].to_owned(), found[2].parse().unwrap(), found[3].parse().unwrap(), found[4].to_owned())
    };
    text.captures_iter(picture).map(found).collect()
}

/// `(x, right, y, bottom)` of every box.
fn boxes(picture: &str) -> Vec<[f64; 4]> {
    let area =
        regex::Regex::new(r#"<rect class="[^"]*" x="([0-9.]+)" y="([0-9.]+)" width="([0-9.]+)" height="([0-9.]+)""#);
    let number = |text: &str| -> f64 { text.parse().unwrap() };
    let one = |found: regex::Captures<'_>| {
        let [x, y, width, height] = [1, 2, 3, 4].map(|group| number(&found[group]));
        [x, x + width, y, y + height]
    };
    area.unwrap().captures_iter(picture).map(one).collect()
}

#[test]
fn no_words_lie_over_others_or_beyond_their_box() {
    let long = read(include_str!("../fixtures/machine/long-names.kiln")).machines;
    let mut pictures = vec![("long-names".to_owned(), svg(&long))];
    pictures.extend(every("good").into_iter().map(|(stem, text)| (stem, svg(&read(&text).machines))));
    for (stem, picture) in pictures {
        let page: f64 = picture.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        let spans: Vec<(f64, f64, f64, String)> = texts(&picture)
            .into_iter()
            .map(|(class, x, y, words)| {
                let wide = width(&class, &words);
                let left = match class.split(' ').next_back() {
                    Some("center") => x - wide / 2.0,
                    Some("end") => x - wide,
                    _ => x,
                };
                (left, left + wide, y, words)
            })
            .collect();
        let boxes = boxes(&picture);
        for (index, (left, right, y, words)) in spans.iter().enumerate() {
            assert!(*left >= 0.0 && *right <= page, "{stem}: {words:?} from {left} to {right} of {page}");
            let middle = (left + right) / 2.0;
            let around =
                boxes.iter().find(|[x, end, top, bottom]| x < &middle && &middle < end && top < y && y < bottom);
            let inside = around.is_none_or(|[x, end, ..]| x - 2.0 <= *left && *right <= end + 2.0);
            assert!(inside, "{stem}: {words:?} from {left} to {right} leaves {around:?}");
            for (other_left, other_right, other_y, other) in &spans[index + 1..] {
                let beside = right <= other_left || other_right <= left || (y - other_y).abs() >= 11.0;
                assert!(beside, "{stem}: {words:?} lies over {other:?}");
            }
        }
    }
}

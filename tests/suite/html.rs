//! The report as a page: it agrees with the JSON beside it, in every case in which there is one.

use crate::support::{Bench, data, model, samples};
use onnx_sap::report::html::FIGURES;
use serde_json::Value;

/// The page of a run with `--html page.html`.
fn page(bench: &Bench) -> String {
    let page = String::from_utf8(std::fs::read(bench.path("page.html")).unwrap()).unwrap();
    for id in FIGURES {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
    page
}

/// The part of a page that a figure takes.
fn part<'p>(page: &'p str, id: &str) -> &'p str {
    let from = page.find(&format!("id=\"{id}\"")).unwrap();
    page[from..].split("</figure>").next().unwrap()
}

/// What stands in the cells of a figure's tables.
fn cells<'p>(page: &'p str, id: &str) -> Vec<&'p str> {
    let cells = part(page, id).split("<td").skip(1);
    cells.map(|cell| cell.split_once('>').unwrap().1.split('<').next().unwrap()).collect()
}

/// A count as people read it.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

fn numbers(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect()
}

#[test]
fn page_and_json_of_a_real_run_agree() {
    let bench = Bench::new();
    let (mlp, train) = (model("mlp").display().to_string(), data("train"));
    let options = "--alpha 3000 --head ridge --html page.html";
    let sets = format!("--data {train} --val {} --test {}", data("val"), data("test"));
    bench.run(&format!("{mlp} out.onnx {sets} {options}")).expect(0);
    let (page, report) = (page(&bench), bench.report());
    let figures = &report["figures"];

    let confusion = &figures["held_out"]["confusion"];
    let counts: Vec<u64> = ["before", "after"]
        .iter()
        .flat_map(|model| confusion[model].as_array().unwrap().iter().flat_map(numbers))
        .collect();
    let in_page: Vec<u64> =
        cells(&page, "fig-confusion").into_iter().filter_map(|cell| cell.replace(',', "").parse().ok()).collect();
    assert_eq!(in_page, counts);
    // The matrices say the same as the accuracies, which come from elsewhere.
    for (at, model) in ["before", "after"].iter().enumerate() {
        let matrix = &counts[100 * at..100 * (at + 1)];
        let right: u64 = (0..10).map(|class| matrix[11 * class]).sum();
        let test = &report[model]["test"];
        assert_eq!(matrix.iter().sum::<u64>(), test["samples"].as_u64().unwrap());
        assert!((right as f64 / 5000.0 - test["accuracy"].as_f64().unwrap()).abs() < 1e-12);
        let shown = format!("{:.1} %", 100.0 * test["accuracy"].as_f64().unwrap());
        assert!(part(&page, "fig-headline").contains(&shown), "{shown}");
    }

    let labels = &figures["labels"];
    let issues = labels["issues"].as_u64().unwrap();
    assert!(issues > 2000 && part(&page, "fig-headline").contains(&format!(">{}<", grouped(issues))));
    let suspects = labels["suspects"].as_array().unwrap();
    let cards: Vec<&str> = part(&page, "fig-suspects").split("<li>").skip(1).collect();
    assert_eq!((cards.len(), suspects.len()), (40, 40));
    for (card, suspect) in cards.iter().zip(suspects) {
        assert!(card.contains("src=\"data:image/png;base64,"), "an image is shown");
        for (class, field) in [("before", "given"), ("after", "suggested")] {
            assert!(card.contains(&format!("<span class=\"{class}\">{}</span>", suspect[field])), "{card}");
        }
        assert!(card.contains(&format!(">{}<", suspect["id"].as_str().unwrap())));
        assert!(card.contains(&format!("loss {:.2}", suspect["loss"].as_f64().unwrap())));
    }

    let (before, after) = (&figures["losses_before"], &figures["losses_after"]);
    assert_eq!(numbers(&before["counts"]).iter().sum::<u64>(), 10_000);
    assert_eq!(numbers(&before["marked"]).iter().sum::<u64>(), report["trusted"]["count"].as_u64().unwrap());
    assert_eq!(numbers(&after["marked"]).iter().sum::<u64>(), issues);
    let spectra = figures["spectra"].as_array().unwrap();
    assert_eq!(spectra.len(), 3);
    for (spectrum, layer) in spectra.iter().zip(report["layers"].as_array().unwrap()) {
        assert_eq!(spectrum["weight"], layer["weight"]);
        assert_eq!(spectrum["directions"], layer["dim"]);
    }
    assert_eq!(
        part(&page, "fig-spectra").matches("<svg").count(),
        5,
        "the head was computed anew and has no lower curve"
    );
    assert!(figures["command"].as_str().unwrap().ends_with(options));
    assert!(part(&page, "fig-command").contains(options));
    assert!(report["seconds"]["figures"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_the_page_says_of_labels_is_what_detect_finds() {
    let bench = Bench::with_small_model();
    bench.run("in.onnx out.onnx --data npz:data.npz --alpha 3000 --html page.html").expect(0);
    let ran = bench.run("detect out.onnx --data npz:data.npz --format json -q").expect(0);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let labels = &bench.report()["figures"]["labels"];
    for field in ["quality", "issues", "separation", "noise_rate_by_joint", "classes", "transition", "overlaps"] {
        assert_eq!(labels[field], found[field], "{field}");
    }
}

#[test]
fn samples_that_are_no_images_are_rows_and_missing_figures_say_why() {
    let bench = Bench::with_small_model();
    let tokens = crate::support::small("tokens.npz");
    bench.put("tokens.npz", &std::fs::read(tokens).unwrap());
    bench.put("tokens.onnx", &std::fs::read(crate::support::small("token-classifier.onnx")).unwrap());
    bench.run("tokens.onnx out.onnx --data npz:tokens.npz --html page.html -q").expect(0);
    let (shown, report) = (page(&bench), bench.report());
    assert!(!shown.contains("<img"));
    let suspects = report["figures"]["labels"]["suspects"].as_array().unwrap();
    assert_eq!(cells(&shown, "fig-suspects").len(), 4 * suspects.len());
    assert!(!suspects.is_empty());
    for id in ["fig-accuracy", "fig-confusion", "fig-candidates"] {
        assert!(
            part(&shown, id).contains("There is no held-out data")
                || part(&shown, id).contains("there is no held-out data")
        );
    }
    assert!(report["figures"]["held_out"]["missing"].as_str().unwrap().contains("--val"));
}

#[test]
fn a_page_is_written_where_no_model_is_and_from_evidence_too() {
    let bench = Bench::with_small_model();
    let refused = "in.onnx out.onnx --data npz:data.npz --preset fast --alpha 0.0001,0.0002 --html page.html";
    bench.run(refused).expect(1);
    assert!(!bench.path("out.onnx").exists());
    assert!(page(&bench).contains("No correction beats the original. Nothing is written."));
    let figures = &bench.report()["figures"];
    assert!(figures["held_out"]["role"] == "validation" && figures["held_out"]["samples"] == 64);

    bench.run("evidence in.onnx --data npz:data.npz -o evidence.safetensors").expect(0);
    let given = "in.onnx out.onnx --data npz:data.npz --evidence evidence.safetensors --alpha 300 --html page.html";
    bench.run(given).expect(0);
    let losses = part(&page(&bench), "fig-losses").to_owned();
    assert!(losses.contains("class=\"missing\"") && losses.contains("--evidence"), "{losses}");
    assert_eq!(bench.report()["figures"]["spectra"].as_array().unwrap().len(), 6);
    let lost = given.replace("page.html", "evidence.safetensors").replace("out.onnx", "other.onnx");
    let ran = bench.run(&lost).expect(2);
    assert!(ran.stderr.contains("cannot be both the evidence and the page"), "{}", ran.stderr);
}

#[test]
fn a_page_never_takes_the_place_of_anything_else() {
    let bench = Bench::with_small_model();
    bench.put("ids.txt", b"1\n2\n");
    let before = bench.everything();
    for (html, says) in [
        ("in.onnx", "in.onnx"),
        ("data.npz", "data.npz"),
        ("out.onnx", "name another --html"),
        ("./out.report.json", "name another --html"),
        ("ids.txt", "--trusted-ids"),
        ("absent/page.html", "absent"),
    ] {
        let ran =
            bench.run(&format!("in.onnx out.onnx --data npz:data.npz --alpha 3 --trusted-ids ids.txt --html {html}"));
        let ran = ran.expect(2);
        assert!(ran.stderr.contains(says), "{html}: {}", ran.stderr);
        assert_eq!(bench.everything(), before, "{html}");
    }
}

#[test]
fn the_same_run_gives_the_same_page_and_without_one_nothing_changes() {
    let run = |options: &str| {
        let bench = Bench::with_small_model();
        bench.run(&format!("in.onnx out.onnx --data npz:data.npz --alpha 300 {options}")).expect(0);
        bench
    };
    let timeless = |bench: &Bench| {
        let page = page(bench);
        page[..page.find("id=\"fig-times\"").unwrap()].to_owned()
    };
    let (first, second, without) = (run("--html page.html"), run("--html page.html"), run(""));
    assert!(timeless(&first) == timeless(&second));
    let model = |bench: &Bench| std::fs::read(bench.path("out.onnx")).unwrap();
    assert!(model(&first) == model(&without));
    let (mut with, without) = (first.report(), without.report());
    assert_eq!(without.get("figures"), None);
    assert_eq!(without["seconds"].get("figures"), None);
    with.as_object_mut().unwrap().remove("figures");
    for field in ["layers", "candidates", "chosen", "before", "after", "trusted", "params"] {
        assert_eq!(with[field], without[field], "{field}");
    }
}

#[test]
fn class_names_of_folders_are_escaped() {
    let bench = Bench::with_small_model();
    let labels: Vec<u8> = (0..24).map(|at| at % 4).collect();
    let values: Vec<f32> = (0..24 * 64).map(|at| ((at * 37) % 101) as f32 / 50.0 - 1.0).collect();
    bench.put("val.npz", &samples(&[24, 1, 8, 8], &values, &labels));
    for (class, name) in ["a & b", "c", "d's", "<script>&\"x\""].iter().enumerate() {
        for at in 0..6_usize {
            let gray = image::GrayImage::from_fn(8, 8, |x, y| {
                image::Luma([(x as usize * (7 + at) + y as usize * 31 * class) as u8])
            });
            let mut png = std::io::Cursor::new(Vec::new());
            gray.write_to(&mut png, image::ImageFormat::Png).unwrap();
            bench.put(&format!("images/{name}/{at}.png"), png.get_ref());
        }
    }
    let preprocessing = "--size 8 --channels gray --mean 0 --std 1 --layout nchw";
    bench
        .run(&format!("in.onnx out.onnx --data folder:images --alpha 3000 --html page.html {preprocessing}"))
        .expect(0);
    let page = page(&bench);
    assert!(page.contains("&lt;script&gt;&amp;&quot;x&quot;") && !page.contains("<script"));
    assert_eq!(bench.report()["figures"]["class_names"].as_array().unwrap().len(), 4);
}

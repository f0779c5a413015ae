//! Which paths lead to the same file.

use std::path::Path;

/// The folder of a file, `.` where the path is a bare name.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// Whether two paths lead to the same file that exists, through links or not.
pub fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Whether two paths name the same place in the same folder, whether anything is there or not.
pub fn same_place(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| Some((parent(path).canonicalize().ok()?, path.file_name()?.to_owned()));
    a == b || place(a).is_some_and(|a| place(b) == Some(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_files_are_told_apart_from_their_spelling() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        assert!(same_place(&at("new"), &at("./new")) && !same_place(&at("new"), &at("other")));
        assert!(!same_file(&at("new"), &at("./new")), "nothing is there");
        std::fs::write(at("new"), "").expect("writing a file");
        assert!(same_file(&at("new"), &at("./new")));
        assert_eq!(parent(Path::new("name")), Path::new("."));
    }
}

//! The command line as a person would type it again.

use std::ffi::OsString;
use std::path::Path;

/// The arguments, the program first, quoted for a POSIX shell where that is needed.
pub(super) fn of(arguments: impl IntoIterator<Item = OsString>) -> String {
    let mut arguments = arguments.into_iter();
    // Where the program lies on this machine is of no use on another.
    let program = arguments.next().map(|program| {
        let name = Path::new(&program).file_name();
        name.map_or_else(|| program.to_string_lossy().into_owned(), |name| name.to_string_lossy().into_owned())
    });
    let rest = arguments.map(|argument| argument.to_string_lossy().into_owned());
    program.into_iter().chain(rest).map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+#".contains(c);
    // A # begins a comment where it is the first of a word.
    if !word.is_empty() && !word.starts_with('#') && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_same_words() {
        let words = ["/usr/bin/onnx-sap", "in.onnx", "a b", "it's", "", "npz:x#val", "$HOME", "#1", "1e3,3e3", "ä"];
        let line = of(words.map(OsString::from));
        assert_eq!(line, r"onnx-sap in.onnx 'a b' 'it'\''s' '' npz:x#val '$HOME' '#1' 1e3,3e3 'ä'");
        #[cfg(unix)]
        {
            let script =
                format!("onnx_sap() {{ printf '%s\\n' \"$@\"; }}; {}", line.replacen("onnx-sap", "onnx_sap", 1));
            let read = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            let expected: String = words[1..].iter().flat_map(|word| [*word, "\n"]).collect();
            assert_eq!(String::from_utf8(read.stdout).unwrap(), expected);
        }
    }
}

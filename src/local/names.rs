//! Names of a bucket as names of local files: which can't be held, and which can't be told apart.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::error::{Error, Result};

/// What keeps names from being files here.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// Windows keeps names for devices, and characters for itself.
    windows: bool,
    /// The longest segment, in UTF-16 units on Windows and in bytes elsewhere.
    longest: usize,
}

const HERE: Rules = Rules { windows: cfg!(windows), longest: 255 };

/// Where a file of a bucket stands below a local folder.
///
/// # Errors
/// `InvalidInput` for a name that would lead elsewhere, or that no local file can have.
pub(crate) fn local_path(root: &Path, name: &str) -> Result<PathBuf> {
    if let Some(why) = name.split('/').find_map(|segment| problem(segment, HERE)) {
        return Err(Error::invalid_input("name", format!("{name:?} can't be a local file: {why}")));
    }
    let mut path = root.to_owned();
    path.extend(name.split('/'));
    Ok(path)
}

fn problem(segment: &str, rules: Rules) -> Option<Cow<'static, str>> {
    const DEVICES: [&str; 30] = [
        "CON", "PRN", "AUX", "NUL", "COM1", "COM2", "COM3", "COM4", "COM5", "COM6", "COM7", "COM8", "COM9", "LPT1",
        "LPT2", "LPT3", "LPT4", "LPT5", "LPT6", "LPT7", "LPT8", "LPT9", "COM¹", "COM²", "COM³", "LPT¹", "LPT²", "LPT³",
        "CONIN$", "CONOUT$",
    ];
    let length = if rules.windows { segment.encode_utf16().count() } else { segment.len() };
    match segment {
        "" => return Some("a segment is empty".into()),
        "." | ".." => return Some(format!("the segment {segment:?} leads elsewhere").into()),
        _ if segment.contains('\0') => return Some("it contains NUL".into()),
        _ if length > rules.longest => return Some(format!("a segment is over {} long", rules.longest).into()),
        _ if !rules.windows => return None,
        _ => {}
    }
    if let Some(bad) = segment.chars().find(|c| (*c as u32) < 0x20 || "<>:\"|?*\\".contains(*c)) {
        return Some(format!("it contains {bad:?}").into());
    }
    if segment.ends_with(['.', ' ']) {
        return Some("a segment ends with a dot or a blank".into());
    }
    let stem = segment.split('.').next().unwrap_or(segment).trim_end();
    DEVICES.iter().find(|device| stem.eq_ignore_ascii_case(device)).map(|device| format!("{device} is a device").into())
}

/// Refuses a path that leaves its folder through a symbolic link, or that has a file where a folder has to be.
pub(crate) fn check_parents(root: &Path, path: &Path) -> io::Result<()> {
    let below = path.strip_prefix(root).unwrap_or(path).parent().unwrap_or(Path::new(""));
    let mut folder = root.to_owned();
    for segment in below {
        folder.push(segment);
        match std::fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => {}
            Ok(found) if found.is_symlink() => {
                return Err(io::Error::other(format!("{} is a symbolic link", folder.display())));
            }
            Ok(_) => return Err(io::Error::other(format!("{} is not a folder", folder.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One form for all names that a file system may take for the same: letter case and Unicode form are levelled.
pub(crate) fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    // Upper case first: it takes apart what has one capital form, such as ß and ss.
    nfc.normalize(&nfc.normalize(name).to_uppercase().to_lowercase()).into_owned()
}

/// Finds names that can't stand side by side: one in two spellings, or as a file and as a folder.
#[derive(Debug)]
pub(crate) struct Names<'n> {
    nodes: HashMap<String, Node<'n>>,
    exact: bool,
}

/// Why a name can't stand beside the others.
#[derive(Debug)]
pub(crate) enum Clash<'n> {
    /// Another one differs in letter case or Unicode form only.
    Twin(String, &'n str),
    FileAndFolder(String),
}

impl fmt::Display for Clash<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twin(name, twin) => write!(f, "{name:?} and {twin:?} differ only in letter case or Unicode form"),
            Self::FileAndFolder(name) => write!(f, "{name:?} is both a file and a folder"),
        }
    }
}

#[derive(Debug)]
struct Node<'n> {
    spelling: &'n str,
    other: Option<&'n str>,
    is_file: bool,
    is_folder: bool,
}

impl<'n> Names<'n> {
    /// `exact`: the file system tells names apart by letter case and Unicode form.
    pub(crate) fn new(exact: bool) -> Self {
        Self { nodes: HashMap::new(), exact }
    }

    pub(crate) fn add(&mut self, name: &'n str) {
        for (at, _) in name.match_indices('/') {
            self.node(&name[..at]).is_folder = true;
        }
        self.node(name).is_file = true;
    }

    fn node(&mut self, name: &'n str) -> &mut Node<'n> {
        let node = self.nodes.entry(self.key(name)).or_insert_with(|| Node {
            spelling: name,
            other: None,
            is_file: false,
            is_folder: false,
        });
        if node.spelling != name {
            node.other.get_or_insert(name);
        }
        node
    }

    fn key(&self, name: &str) -> String {
        if self.exact { name.to_owned() } else { fold(name) }
    }

    /// Why a name can't stand beside the others.
    pub(crate) fn clash(&self, name: &str) -> Option<Clash<'n>> {
        let ends = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
        ends.filter_map(|end| self.nodes.get(&self.key(&name[..end])).map(|node| (&name[..end], node))).find_map(
            |(name, node)| {
                let twin = node.other.map(|other| if other == name { node.spelling } else { other });
                match twin {
                    Some(twin) => Some(Clash::Twin(name.to_owned(), twin)),
                    None if node.is_file && node.is_folder => Some(Clash::FileAndFolder(name.to_owned())),
                    None => None,
                }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOWS: Rules = Rules { windows: true, longest: 255 };

    #[test]
    fn names_that_no_file_can_have() {
        for name in ["", "..", ".", "a//b", "/etc/passwd", "a/", "a/../../b", "a\0b", &"x".repeat(256)] {
            let error = local_path(Path::new("root"), name).unwrap_err();
            assert!(error.is_invalid_input(), "{name:?}");
        }
        for name in ["...", "a b", "ü %+#?", "a:b*", &"x".repeat(255)] {
            assert!(problem(name, Rules { windows: false, longest: 255 }).is_none(), "{name:?}");
        }
        assert_eq!(local_path(Path::new("root"), "a/b").unwrap(), Path::new("root").join("a").join("b"));
    }

    #[test]
    fn names_that_windows_keeps_for_itself() {
        for name in [
            "CON",
            "con.txt",
            "Lpt1",
            "nul .x",
            "com¹.txt",
            "conin$",
            "a:b",
            "c:",
            "a\\b",
            "..\\x",
            "a.",
            "a ",
            "a\nb",
            "what?",
        ] {
            assert!(problem(name, WINDOWS).is_some(), "{name:?}");
        }
        for name in ["console", "com10", "a.b", " a", "日本", ".con"] {
            assert!(problem(name, WINDOWS).is_none(), "{name:?}");
        }
    }

    #[test]
    fn spellings_of_one_name() {
        assert_eq!(fold("ÉA"), fold("e\u{301}a"));
        assert_eq!(fold("Straße"), fold("STRASSE"));
        assert_ne!(fold("a"), fold("ä"));
        assert_eq!(fold("Σίσυφος"), fold("ΣΊΣΥΦΟΣ"));
    }

    fn clashes(exact: bool, names: &[&str]) -> Vec<bool> {
        let mut all = Names::new(exact);
        names.iter().for_each(|name| all.add(name));
        names.iter().map(|name| all.clash(name).is_some()).collect()
    }

    #[test]
    fn clashes_are_found_on_the_way_down_too() {
        assert_eq!(clashes(false, &["a/x", "A/y", "b", "c"]), [true, true, false, false]);
        assert_eq!(clashes(true, &["a/x", "A/y", "b", "c"]), [false; 4]);
        assert_eq!(clashes(true, &["a", "a/b", "a/c", "ab"]), [true, true, true, false]);
        assert_eq!(clashes(false, &["é", "e\u{301}", "e"]), [true, true, false]);
    }

    proptest! {
        #[test]
        fn no_name_leads_out(name in "\\PC{0,20}") {
            if let Ok(path) = local_path(Path::new("root"), &name) {
                prop_assert!(path.starts_with("root") && path != Path::new("root"));
                prop_assert!(path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
            }
        }

        #[test]
        fn dotted_names_do_not_lead_out(name in "[./\\\\a]{0,8}") {
            if let Ok(path) = local_path(Path::new("root"), &name) {
                prop_assert!(path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
            }
        }
    }
}

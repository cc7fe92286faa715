//! Names of a bucket as names of local files: which can't be held, and which can't be told apart.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

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
    let unfit = too_long(name).or_else(|| name.split('/').find_map(|segment| problem(segment, HERE)));
    if let Some(why) = unfit {
        return Err(Error::invalid_input("name", format!("{name:?} can't be a local file: {why}")));
    }
    let mut path = root.to_owned();
    path.extend(name.split('/'));
    Ok(path)
}

/// The longest path, and the most segments of one: more than most systems take in one call, and far deeper than folders of
/// people's are. Longer names only take up memory.
const LONGEST: usize = 4096;
const DEEPEST: usize = 256;

fn too_long(name: &str) -> Option<Cow<'static, str>> {
    match name.len() {
        length if length > LONGEST => Some(format!("it is over {LONGEST} bytes long").into()),
        _ if name.split('/').count() > DEEPEST => Some(format!("it is over {DEEPEST} folders deep").into()),
        _ => None,
    }
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
    let mut folder = PathBuf::with_capacity(path.as_os_str().len().max(root.as_os_str().len()));
    folder.push(root);
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
    // Taken apart first, or a mark that becomes a letter would keep its place before others. Then by upper case, which takes
    // apart what has one capital form, such as ß and ss; but ẞ is a capital itself.
    let apart = DecomposingNormalizerBorrowed::new_nfd().normalize(name);
    let level = apart.to_lowercase().to_uppercase().to_lowercase();
    ComposingNormalizerBorrowed::new_nfc().normalize(&level).into_owned()
}

/// Finds names that can't stand side by side: one in two spellings, or as a file and as a folder.
///
/// A tree, segment by segment: a key for each beginning of a name would take as many bytes as the square of its length.
#[derive(Debug)]
pub(crate) struct Names<'n> {
    nodes: Vec<Node<'n>>,
    /// By the node above and the segment, in one form for all its spellings.
    below: HashMap<(usize, String), usize>,
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
    /// The path to it, as it came first.
    spelling: &'n str,
    /// One whose last segment is spelled in another way.
    other: Option<&'n str>,
    is_file: bool,
    is_folder: bool,
}

/// The root, which has no node of its own.
const ROOT: usize = usize::MAX;

impl<'n> Names<'n> {
    /// `exact`: the file system tells names apart by letter case and Unicode form.
    pub(crate) fn new(exact: bool) -> Self {
        Self { nodes: Vec::new(), below: HashMap::new(), exact }
    }

    /// Files and folders, of all names together.
    #[cfg(feature = "zip")]
    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Adds a file, or with a slash at the end a folder. What no local file can be called is left out.
    pub(crate) fn add(&mut self, name: &'n str) {
        if too_long(name).is_some() {
            return;
        }
        let mut above = ROOT;
        let folder = name.strip_suffix('/');
        for (segment, path) in segments(folder.unwrap_or(name)) {
            let key = (above, self.key(segment));
            above = *self.below.entry(key).or_insert(self.nodes.len());
            if above == self.nodes.len() {
                self.nodes.push(Node { spelling: path, other: None, is_file: false, is_folder: false });
            }
            let node = &mut self.nodes[above];
            if last_segment(node.spelling) != segment {
                node.other.get_or_insert(path);
            }
            // Of a folder no path is the whole name.
            match path.len() == name.len() {
                true => node.is_file = true,
                false => node.is_folder = true,
            }
        }
    }

    fn key(&self, segment: &str) -> String {
        if self.exact { segment.to_owned() } else { fold(segment) }
    }

    /// Why a name can't stand beside the others.
    pub(crate) fn clash(&self, name: &str) -> Option<Clash<'n>> {
        let mut above = ROOT;
        for (segment, path) in segments(name) {
            above = *self.below.get(&(above, self.key(segment)))?;
            let node = &self.nodes[above];
            if let Some(other) = node.other {
                let twin = if last_segment(other) == segment { node.spelling } else { other };
                return Some(Clash::Twin(path.to_owned(), twin));
            }
            if node.is_file && node.is_folder {
                return Some(Clash::FileAndFolder(path.to_owned()));
            }
        }
        None
    }
}

/// Each segment of a path, and the path to its end.
fn segments(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut start = 0;
    let ends = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
    ends.map(move |end| (&name[std::mem::replace(&mut start, end + 1)..end], &name[..end]))
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOWS: Rules = Rules { windows: true, longest: 255 };

    #[test]
    fn names_that_no_file_can_have() {
        let (deep, long) = ("a/".repeat(256) + "a", format!("{}/", "n".repeat(250)).repeat(17) + "x");
        for name in ["", "..", ".", "a//b", "/etc/passwd", "a/", "a/../../b", "a\0b", &"x".repeat(256), &deep, &long] {
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
        assert_eq!(fold("STRAẞE"), fold("straße"));
        // An iota subscript becomes a letter, which has to come behind the marks of the one before it.
        assert_eq!(fold("\u{1fcc}\u{342}"), fold("\u{1fc7}"));
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
        assert_eq!(clashes(false, &["a/b/c", "a/B/d", "a/e"]), [true, true, false]);
        let told = |exact, names: &[&str], name| {
            let mut all = Names::new(exact);
            names.iter().for_each(|name| all.add(name));
            all.clash(name).map(|clash| clash.to_string()).unwrap_or_default()
        };
        assert!(told(false, &["a/b/c", "a/B/d"], "a/b/c").starts_with("\"a/b\" and \"a/B\" differ"));
        assert!(told(false, &["a/b/c", "a/B/d"], "a/B/d").starts_with("\"a/B\" and \"a/b\" differ"));
        assert_eq!(told(true, &["a/b", "a/b/c"], "a/b/c"), "\"a/b\" is both a file and a folder");
    }

    #[test]
    fn deep_names_take_up_no_more_than_they_have_segments() {
        let deep: Vec<String> = (0..50).map(|n| format!("{n}/{}", "a/".repeat(30_000))).collect();
        let mut names = Names::new(false);
        deep.iter().for_each(|name| names.add(name));
        assert_eq!(names.nodes.len(), 0, "no file can be called so");
        let name = "ab/".repeat(255) + "c";
        names.add(&name);
        assert_eq!(names.nodes.len(), 256);
        assert!(names.below.keys().all(|(_, segment)| segment.len() < 3));
    }

    #[test]
    fn a_name_that_was_left_out_has_no_clash_of_another() {
        let long = "x".repeat(LONGEST) + "/a";
        assert_eq!(clashes(false, &["a", "A", &long]), [true, true, false]);
    }

    /// Each name against all others: at each depth, those that lead to the same place as this one does.
    fn clashes_slowly(exact: bool, names: &[String], name: &str) -> bool {
        let level = |text: &str| if exact { text.to_owned() } else { fold(text) };
        let parts = |name: &str| -> Vec<String> { name.trim_end_matches('/').split('/').map(str::to_owned).collect() };
        let own = parts(name);
        (1..=own.len()).any(|depth| {
            let here = |of: &[String]| of.len() >= depth && (0..depth).all(|at| level(&of[at]) == level(&own[at]));
            let others: Vec<_> =
                names.iter().map(|name| (parts(name), name.ends_with('/'))).filter(|(of, _)| here(of)).collect();
            let spellings: std::collections::HashSet<_> = others.iter().map(|(of, _)| &of[depth - 1]).collect();
            let is_folder = |(of, folder): &(Vec<String>, bool)| of.len() > depth || *folder;
            spellings.len() > 1 || others.iter().any(is_folder) && others.iter().any(|other| !is_folder(other))
        })
    }

    /// Letters of one case and of two, and marks that are reordered, composed or become letters.
    const LETTERS: &str = "[a-zß-ſǅΑ-ϿẖẞK\u{1f00}-\u{1fff}\u{300}-\u{36f}/.]{0,6}|\\PC{0,6}";

    proptest! {
        #[test]
        fn what_is_in_one_form_stays_as_it_is(name in LETTERS) {
            let form = fold(&name);
            prop_assert_eq!(&fold(&form), &form);
            let nfc = ComposingNormalizerBorrowed::new_nfc().normalize(&name);
            prop_assert_eq!(&fold(&nfc), &form);
            // Of one that is taken apart: else marks go to the letter that another mark has become.
            let nfd = DecomposingNormalizerBorrowed::new_nfd().normalize(&name);
            prop_assert_eq!(&fold(&nfd.to_uppercase()), &form);
            prop_assert_eq!(&fold(&nfd.to_lowercase()), &form);
            // Beginnings of names are looked up in it.
            let parts: Vec<_> = name.split('/').map(fold).collect();
            prop_assert_eq!(parts.join("/"), form);
        }

        #[test]
        fn clashes_are_those_of_each_with_all(
            names in prop::collection::vec("([aAbéÉ]|e\u{301}){1,2}(/[aAb]){0,2}/?", 1..8),
            exact in any::<bool>(),
        ) {
            let mut all = Names::new(exact);
            names.iter().for_each(|name| all.add(name));
            for name in &names {
                let clash = all.clash(name.trim_end_matches('/'));
                prop_assert_eq!(clash.is_some(), clashes_slowly(exact, &names, name), "{} {:?}", name, clash);
                // What is told is so: the other spelling is there, and differs.
                if let Some(Clash::Twin(path, twin)) = clash {
                    prop_assert!(path != twin && fold(&path) == fold(twin) && name.starts_with(&path));
                    prop_assert!(names.iter().any(|name| name.starts_with(twin)));
                }
            }
        }

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

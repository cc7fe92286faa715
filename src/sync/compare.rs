//! Two listings side by side: what has to be done so that one becomes like the other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::plan::{Direction, SyncAction, SyncPlan};
use crate::local::{Names, fold};

/// A side of a sync: its files by their path below the folder, and their sizes.
pub(super) type Side = BTreeMap<String, u64>;

/// Says why a name does not fit, if it does not.
pub(super) type Unfit = Box<dyn Fn(&str) -> Option<String> + Send>;

pub(super) struct Comparison {
    pub(super) direction: Direction,
    pub(super) prefix: String,
    pub(super) local: Side,
    pub(super) remote: Side,
    /// Names in both whose contents are equal.
    pub(super) equal: HashSet<String>,
    /// What can't be taken, and why; for a folder, with all below it.
    pub(super) odd: BTreeMap<String, String>,
    /// Why a name can't be on the side that is written to.
    pub(super) unfit: Unfit,
    pub(super) delete_extra: bool,
    pub(super) case_sensitive: bool,
}

impl Comparison {
    pub(super) fn plan(self) -> SyncPlan {
        let (from, to) = match self.direction {
            Direction::Up => (&self.local, &self.remote),
            Direction::Down => (&self.remote, &self.local),
        };
        // Both sides together: a name that is on one side only may be the other spelling of one on the other.
        let all: BTreeSet<&str> = from.keys().chain(to.keys()).map(String::as_str).collect();
        let mut names = Names::new(self.case_sensitive);
        all.iter().for_each(|name| names.add(name));
        let oddities = Oddities::new(&self.odd, self.case_sensitive);

        let mut actions = Vec::new();
        let mut unchanged = 0;
        for name in all {
            let path = name.to_owned();
            let report = oddities.reason(name).or_else(|| names.clash(name).map(|clash| clash.to_string()));
            actions.push(match (from.get(name), to.get(name), report) {
                (_, _, Some(reason)) => SyncAction::Report { path, reason },
                (Some(_), Some(_), None) if self.equal.contains(name) => {
                    unchanged += 1;
                    continue;
                }
                (Some(size), other, None) => match (self.unfit)(name) {
                    Some(reason) => SyncAction::Report { path, reason },
                    None => SyncAction::Copy { path, size: *size, replaces: other.is_some() },
                },
                (None, _, None) if self.delete_extra => SyncAction::Delete { path },
                (None, _, None) => SyncAction::Keep { path },
            });
        }
        let told: HashSet<String> = actions.iter().map(|action| action.path().to_owned()).collect();
        let untold = self.odd.into_iter().filter(|(path, _)| !told.contains(path));
        actions.extend(untold.map(|(path, reason)| SyncAction::Report { path, reason }));
        actions.sort_by(|a, b| a.path().cmp(b.path()));
        SyncPlan { direction: self.direction, prefix: self.prefix, actions, unchanged }
    }
}

/// What can't be taken, for names to be looked up in.
struct Oddities<'o> {
    odd: &'o BTreeMap<String, String>,
    /// The same by the one form of all spellings, unless the file system tells them apart.
    spellings: HashMap<String, &'o str>,
}

impl<'o> Oddities<'o> {
    fn new(odd: &'o BTreeMap<String, String>, exact: bool) -> Self {
        let spellings = odd.keys().filter(|_| !exact).map(|path| (fold(path), path.as_str())).collect();
        Self { odd, spellings }
    }

    /// Why nothing can be said of a name: itself, or a folder on the way to it, can't be taken.
    fn reason(&self, name: &str) -> Option<String> {
        if let Some(reason) = beginnings(name).find_map(|path| self.odd.get(path)) {
            return Some(reason.clone());
        }
        if self.spellings.is_empty() {
            return None;
        }
        let form = fold(name);
        let path = *beginnings(&form).find_map(|path| self.spellings.get(path))?;
        let reason = self.odd.get(path)?;
        Some(format!("{path:?} differs from it, or a folder of it, only in letter case or Unicode form: {reason}"))
    }
}

/// The folders on the way to a name, from the folder itself on, which is the empty path; and the name.
fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let ends = [0].into_iter().chain(name.match_indices('/').map(|(at, _)| at)).chain([name.len()]);
    ends.map(|end| &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(names: &[&str]) -> Side {
        names.iter().map(|name| ((*name).to_owned(), name.len() as u64)).collect()
    }

    fn compared(direction: Direction, local: &[&str], remote: &[&str], change: impl Fn(&mut Comparison)) -> String {
        let mut comparison = Comparison {
            direction,
            prefix: String::new(),
            local: side(local),
            remote: side(remote),
            equal: HashSet::from(["same".to_owned()]),
            odd: BTreeMap::new(),
            unfit: Box::new(|name| (name == "unfit").then(|| "it does not fit".to_owned())),
            delete_extra: false,
            case_sensitive: false,
        };
        change(&mut comparison);
        let plan = comparison.plan();
        let line = |action: &SyncAction| match action {
            SyncAction::Copy { path, replaces, .. } => format!("{}{path}", if *replaces { "=" } else { "+" }),
            SyncAction::Delete { path } => format!("-{path}"),
            SyncAction::Keep { path } => format!("~{path}"),
            SyncAction::Report { path, .. } => format!("?{path}"),
        };
        plan.actions.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_differs_is_done() {
        let (local, remote) = (["a", "b", "same"], ["b", "c", "same"]);
        assert_eq!(compared(Direction::Up, &local, &remote, |_| {}), "+a =b ~c");
        assert_eq!(compared(Direction::Down, &local, &remote, |_| {}), "~a =b +c");
        assert_eq!(compared(Direction::Up, &local, &remote, |c| c.delete_extra = true), "+a =b -c");
        assert_eq!(compared(Direction::Down, &local, &remote, |c| c.delete_extra = true), "-a =b +c");
    }

    #[test]
    fn spellings_of_one_name_are_reported_on_both_sides() {
        let delete = |c: &mut Comparison| c.delete_extra = true;
        assert_eq!(compared(Direction::Up, &["readme"], &["README", "x"], delete), "?README ?readme -x");
        assert_eq!(compared(Direction::Down, &["e\u{301}"], &["\u{e9}"], delete), "?e\u{301} ?\u{e9}");
        let exact = |c: &mut Comparison| (c.delete_extra, c.case_sensitive) = (true, true);
        assert_eq!(compared(Direction::Up, &["readme"], &["README"], exact), "-README +readme");
    }

    #[test]
    fn files_and_folders_of_one_name_are_reported() {
        assert_eq!(compared(Direction::Down, &["a"], &["a/b", "c"], |_| {}), "?a ?a/b +c");
        assert_eq!(compared(Direction::Down, &[], &["a", "a/b", "unfit"], |_| {}), "?a ?a/b ?unfit");
    }

    #[test]
    fn nothing_is_done_to_what_can_not_be_seen() {
        let odd = |c: &mut Comparison| {
            c.delete_extra = true;
            c.odd.insert("link".into(), "a link".into());
            c.odd.insert("secret".into(), "unreadable".into());
        };
        assert_eq!(
            compared(Direction::Up, &["a"], &["link", "secret/x", "secrets"], odd),
            "+a ?link ?secret ?secret/x -secrets"
        );
        // Another spelling may be the same to the file system.
        let spelled = |exact| {
            move |c: &mut Comparison| {
                (c.delete_extra, c.case_sensitive) = (true, exact);
                c.odd.insert("readme".into(), "a link".into());
                c.odd.insert("Photos".into(), "unreadable".into());
            }
        };
        let remote = ["README", "photos/x", "readme.md"];
        assert_eq!(
            compared(Direction::Up, &[], &remote, spelled(false)),
            "?Photos ?README ?photos/x ?readme -readme.md"
        );
        assert_eq!(
            compared(Direction::Down, &[], &remote, spelled(false)),
            "?Photos ?README ?photos/x ?readme +readme.md"
        );
        assert_eq!(
            compared(Direction::Up, &[], &remote, spelled(true)),
            "?Photos -README -photos/x ?readme -readme.md"
        );
        // What could not be read to its end is the folder itself.
        let root = |c: &mut Comparison| {
            c.delete_extra = true;
            c.odd.insert(String::new(), "unreadable".into());
        };
        assert_eq!(compared(Direction::Up, &["a", "same"], &["same", "x/y"], root), "? ?a ?same ?x/y");
    }
}

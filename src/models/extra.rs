//! Members that the crate does not know.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Members of a JSON object that this version of the crate does not know; empty with the servers it was made for.
///
/// They are written back when the model is serialised. Integers beyond 64 bits become floating-point numbers.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extra(BTreeMap<String, Value>);

impl Extra {
    /// The member of that name, as it is spelled on the wire. `None` where it is not there or of another shape.
    ///
    /// Ask for a `serde_json::Value` to get any shape.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.0.get(name).and_then(|value| T::deserialize(value).ok())
    }

    /// Takes out a member that is known after all.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let taken = self.0.remove(name);
        if self.0.is_empty() {
            // An emptied map keeps its room, which is more than a file takes.
            self.0 = BTreeMap::new();
        }
        taken
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(feature = "events")]
    pub(crate) fn members(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Shows the names only: an unknown member may be a secret.
impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

//! Handles that `collection["id"]` lends out.

use elsa::sync::FrozenMap;

/// The handles that a collection's `Index` has lent out: an append-only map, since `Index` must return a reference. It
/// lives as long as the collection value; a clone starts empty.
pub(crate) struct Lent<T>(FrozenMap<String, Box<T>>);

impl<T> Lent<T> {
    pub(crate) fn get(&self, key: &str, make: impl FnOnce() -> T) -> &T {
        match self.0.get(key) {
            Some(handle) => handle,
            // Two threads may both come here: the first to insert wins, and both get its handle.
            None => self.0.insert(key.to_owned(), Box::new(make())),
        }
    }
}

impl<T> Default for Lent<T> {
    fn default() -> Self {
        Self(FrozenMap::new())
    }
}

impl<T> Clone for Lent<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> std::fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lent")
    }
}

/// `handles["key"]` for a collection with a field `lent` and a method that makes a handle.
macro_rules! lend {
    ($collection:ident, $method:ident -> $handle:ident) => {
        impl<K: AsRef<str> + ?Sized> std::ops::Index<&K> for $collection {
            type Output = $handle;

            /// The handle of this name. The collection value keeps it; in loops over many names, use the method that
            /// returns it by value.
            fn index(&self, key: &K) -> &$handle {
                self.lent.get(key.as_ref(), || self.$method(key.as_ref()))
            }
        }
    };
}

pub(crate) use lend;

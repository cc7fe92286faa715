//! What a connection can subscribe to.

/// What a connection of the hub is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Group {
    /// Everything: `SubscribeToAll`.
    All,
    /// A bucket and its files, by its id: `SubscribeToBucket`.
    Bucket(String),
    /// One file, by the bucket's id and its exact path: `SubscribeToFile`.
    File(String, String),
}

//! Words that the server may add to.

/// An enum of words that the server says, with a variant `Other` that keeps those which this crate does not know.
macro_rules! open_words {
    ($(#[$attr:meta])* $Name:ident { $( $(#[$variant_attr:meta])* $Variant:ident = $word:literal, )* }) => {
        $(#[$attr])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $Name {
            $( $(#[$variant_attr])* $Variant, )*
            /// A word of a later server.
            Other(String),
        }

        impl $Name {
            /// The word as the server spells it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$Variant => $word, )*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $Name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $( $word => Self::$Variant, )*
                    _ => Self::Other(word),
                }
            }
        }

        impl From<$Name> for String {
            fn from(name: $Name) -> Self {
                match name {
                    $Name::Other(word) => word,
                    known => known.as_str().to_owned(),
                }
            }
        }

        impl ::std::fmt::Display for $Name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(crate) use open_words;

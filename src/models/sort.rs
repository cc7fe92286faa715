//! What listings are sorted by.

/// The order that a sort has unless told otherwise: texts from `A`, the newest and the largest first. The server's own is
/// descending for all.
macro_rules! natural_order {
    ($Name:ident $( $Variant:ident $order:ident, )*) => {
        impl $Name {
            pub(crate) const fn natural_order(self) -> $crate::models::Order {
                match self { $( Self::$Variant => $crate::models::Order::$order, )* }
            }
        }
    };
    // An order has none.
    ($Name:ident $( $Variant:ident, )*) => {};
}

/// An enum whose variants are words: what they are an argument for, and the word and, of a sort, the order of each.
macro_rules! words {
    (
        $(#[$attr:meta])*
        $Name:ident, $argument:literal { $( $(#[$variant_attr:meta])* $Variant:ident = $word:literal $(=> $order:ident)?, )* }
    ) => {
        $(#[$attr])*
        ///
        /// Shown, parsed and serialised as the word that the server takes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $Name { $( $(#[$variant_attr])* $Variant, )* }

        impl $Name {
            /// The word that the server takes.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$Variant => $word, )* }
            }
        }

        $crate::models::natural_order! { $Name $( $Variant $($order)?, )* }

        impl ::std::fmt::Display for $Name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        /// From the word, exactly as the server takes it. Another one is `InvalidInput`, which names those that are allowed.
        impl ::std::str::FromStr for $Name {
            type Err = $crate::Error;

            fn from_str(word: &str) -> $crate::Result<Self> {
                match word {
                    $( $word => Ok(Self::$Variant), )*
                    _ => {
                        let words = [$($word),*].join(", ");
                        Err($crate::Error::invalid_input($argument, format!("{word:?} is none of {words}")))
                    }
                }
            }
        }
    };
}

pub(crate) use natural_order;
#[cfg(feature = "file-storage")]
pub(crate) use words;

words! {
    /// What files are sorted by (wire description, section 7). Texts compare by code point, upper case first.
    FileSort, "sort" {
        /// The last segment of the path.
        Name = "name" => Asc,
        /// The whole path.
        Path = "path" => Asc,
        /// Bytes.
        Size = "size" => Desc,
        /// The content type.
        MimeType = "mime_type" => Asc,
        /// When the path was first stored; what the server does by default in a flat listing.
        CreatedAt = "created_at" => Desc,
        /// When the content last changed.
        UpdatedAt = "updated_at" => Desc,
    }
}

words! {
    /// What buckets are sorted by (wire description, section 6). A missing time sorts lowest.
    BucketSort, "sort" {
        /// The name, by code point, upper case first.
        Name = "name" => Asc,
        /// When the bucket expires; those that never do sort lowest.
        ExpiresAt = "expires_at" => Desc,
        /// The last upload or download.
        LastUsedAt = "last_used_at" => Desc,
        /// Bytes of all files.
        TotalSize = "total_size" => Desc,
        /// When it was created; the server's default.
        CreatedAt = "created_at" => Desc,
    }
}

words! {
    /// What API keys are sorted by (wire description, section 5).
    KeySort, "sort" {
        /// The name, by code point, upper case first.
        Name = "name" => Asc,
        /// When the key was last looked up.
        LastUsedAt = "last_used_at" => Desc,
        /// Bytes of all files in buckets of the key's owner. With this one the server takes a limit of -1 as 0.
        TotalSize = "total_size" => Desc,
        /// When it was created; the server's default.
        CreatedAt = "created_at" => Desc,
    }
}

words! {
    /// Which way a listing is sorted.
    Order, "order" {
        /// Smallest, oldest or `A` first.
        Asc = "asc",
        /// Largest, newest or `z` first.
        Desc = "desc",
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::error::Error;

    fn check<T>(values: &[T], words: &str)
    where
        T: Copy + PartialEq + std::fmt::Debug + Display + FromStr<Err = Error> + Serialize + DeserializeOwned,
    {
        assert_eq!(values.iter().map(T::to_string).collect::<Vec<_>>().join(", "), words);
        for value in values {
            let json = serde_json::json!(value);
            assert_eq!(json, value.to_string());
            assert_eq!(serde_json::from_value::<T>(json).unwrap(), *value);
            assert_eq!(value.to_string().parse::<T>().unwrap(), *value);
        }
        for bad in ["", "NAME", " name", "nothing"] {
            let error = bad.parse::<T>().unwrap_err();
            assert!(error.is_invalid_input() && error.message().ends_with(words), "{error}");
        }
    }

    #[test]
    fn words_are_those_of_the_server_both_ways() {
        use {BucketSort as B, FileSort as F, KeySort as K};
        let files = [F::Name, F::Path, F::Size, F::MimeType, F::CreatedAt, F::UpdatedAt];
        check(&files, "name, path, size, mime_type, created_at, updated_at");
        let buckets = [B::Name, B::ExpiresAt, B::LastUsedAt, B::TotalSize, B::CreatedAt];
        check(&buckets, "name, expires_at, last_used_at, total_size, created_at");
        check(&[K::Name, K::LastUsedAt, K::TotalSize, K::CreatedAt], "name, last_used_at, total_size, created_at");
        check(&[Order::Asc, Order::Desc], "asc, desc");
        #[cfg(feature = "file-storage")]
        {
            use crate::file_storage::models::FileSort as S;
            check(&[S::CreatedAt, S::Name, S::Size], "created_at, name, size");
        }
    }
}

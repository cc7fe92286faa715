//! What listings are sorted by.

use std::fmt;

/// The order that a sort has unless told otherwise: texts from `A`, the newest and the largest first. The server's own is
/// descending for all.
macro_rules! natural_order {
    ($Name:ident $( $Variant:ident $order:ident, )*) => {
        impl $Name {
            pub(crate) const fn natural_order(self) -> Order {
                match self { $( Self::$Variant => Order::$order, )* }
            }
        }
    };
    // An order has none.
    ($Name:ident $( $Variant:ident, )*) => {};
}

macro_rules! words {
    ($(#[$attr:meta])* $Name:ident { $( $(#[$variant_attr:meta])* $Variant:ident = $word:literal $(=> $order:ident)?, )* }) => {
        $(#[$attr])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Name { $( $(#[$variant_attr])* $Variant, )* }

        impl $Name {
            /// The word that the server takes.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$Variant => $word, )* }
            }
        }

        natural_order! { $Name $( $Variant $($order)?, )* }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// What files are sorted by (wire description, section 7). Texts compare by code point, upper case first.
    FileSort {
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
    BucketSort {
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
    KeySort {
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
    Order {
        /// Smallest, oldest or `A` first.
        Asc = "asc",
        /// Largest, newest or `z` first.
        Desc = "desc",
    }
}

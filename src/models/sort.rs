//! What listings are sorted by.

use std::fmt;

macro_rules! words {
    ($(#[$attr:meta])* $Name:ident { $( $(#[$variant_attr:meta])* $Variant:ident = $word:literal, )* }) => {
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
        Name = "name",
        /// The whole path.
        Path = "path",
        /// Bytes.
        Size = "size",
        /// The content type.
        MimeType = "mime_type",
        /// When the path was first stored; what the server does by default in a flat listing.
        CreatedAt = "created_at",
        /// When the content last changed.
        UpdatedAt = "updated_at",
    }
}

words! {
    /// What buckets are sorted by (wire description, section 6). A missing time sorts lowest.
    BucketSort {
        /// The name, by code point, upper case first.
        Name = "name",
        /// When the bucket expires; those that never do sort lowest.
        ExpiresAt = "expires_at",
        /// The last upload or download.
        LastUsedAt = "last_used_at",
        /// Bytes of all files.
        TotalSize = "total_size",
        /// When it was created; the server's default.
        CreatedAt = "created_at",
    }
}

words! {
    /// What API keys are sorted by (wire description, section 5).
    KeySort {
        /// The name, by code point, upper case first.
        Name = "name",
        /// When the key was last looked up.
        LastUsedAt = "last_used_at",
        /// Bytes of all files in buckets of the key's owner. With this one the server takes a limit of -1 as 0.
        TotalSize = "total_size",
        /// When it was created; the server's default.
        CreatedAt = "created_at",
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

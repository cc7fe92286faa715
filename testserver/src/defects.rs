//! The real server's defects, each of which can be switched off.

macro_rules! defects {
    ($($(#[$doc:meta])* $name:ident, $with:ident;)*) => {
        /// Which defects of the real server this one shows.
        ///
        /// [`Defects::default`] has them all, as the real server does; [`Defects::none`] is the server one would wish for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Defects {
            $($(#[$doc])* pub $name: bool,)*
        }

        impl Defects {
            /// All of them: the server as it is.
            #[must_use]
            pub const fn all() -> Self {
                Self { $($name: true,)* }
            }

            /// None of them: the server as it was meant.
            #[must_use]
            pub const fn none() -> Self {
                Self { $($name: false,)* }
            }

            $(
                $(#[$doc])*
                #[must_use]
                pub const fn $with(mut self, on: bool) -> Self {
                    self.$name = on;
                    self
                }
            )*
        }
    };
}

defects! {
    /// A stream upload to a path with a character that no header can carry is stored, and answered 500.
    unsendable_location, with_unsendable_location;
    /// The archive of a bucket whose name no header can carry is a 500.
    unsendable_zip_name, with_unsendable_zip_name;
    /// The cache of bucket details does not tell apart who asked for `include=files`.
    include_files_mixup, with_include_files_mixup;
    /// Bucket details are cached for 10 minutes: stale `last_used_at`, and expired buckets that still answer,
    /// as deleted ones do until the hub has told of it.
    stale_bucket_detail, with_stale_bucket_detail;
    /// A GET of a file whose answer is held back (`stall_headers`) while the file is overwritten, patched or deleted makes the
    /// server remember the row from before for 5 minutes: contents come under the old ETag, and what is gone is shown. A row
    /// that was read is shown until the hub has told of its deletion, which a slow reader holds up.
    stale_file_metadata, with_stale_file_metadata;
    /// A short URL that was resolved goes on redirecting for 10 minutes after its file is gone.
    stale_short_urls, with_stale_short_urls;
    /// A revoked key works for up to 30 seconds more.
    revoked_keys_live_on, with_revoked_keys_live_on;
    /// The verdict on an upload token is cached for 2 minutes.
    stale_token_verdicts, with_stale_token_verdicts;
    /// Statistics are cached for 5 minutes and miss changes of keys.
    stale_stats, with_stale_stats;
    /// Uploads that race for one new path, or with the same new bytes, are a 500 for all but the first,
    /// and the bytes that lost a path to others are refused for good.
    upload_races, with_upload_races;
    /// Of two PATCHes of one file at once, the first to finish is lost.
    lost_appends, with_lost_appends;
    /// Tree and `ls` match with SQL `LIKE`: any case, `_` and `%` as wildcards or as nothing.
    like_matching, with_like_matching;
    /// A body slower than 240 bytes a second is a 408 after a grace of 5 seconds.
    slow_body_timeout, with_slow_body_timeout;
}

impl Default for Defects {
    fn default() -> Self {
        Self::all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_switch_changes_one_defect() {
        let only = Defects::none().with_lost_appends(true);
        assert!(only.lost_appends);
        assert_eq!(only.with_lost_appends(false), Defects::none());
        assert_eq!(Defects::default(), Defects::all());
    }
}

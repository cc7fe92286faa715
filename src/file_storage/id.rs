//! Ids: UUIDs in any form that the service takes, checked before anything is sent.

use uuid::Uuid;

use crate::error::{Error, Result};

/// The id as the service writes it: lower case, with dashes.
pub(super) fn canonical(id: &str) -> Result<String> {
    match Uuid::try_parse(id) {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err(Error::invalid_input("id", format!("{id:?} is not a UUID"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_the_service_takes() {
        let id = "3b53bad0-8223-48db-81fb-d6600ae05a40";
        for form in
            [id.to_owned(), id.replace('-', ""), id.to_uppercase(), format!("{{{id}}}"), format!("urn:uuid:{id}")]
        {
            assert_eq!(canonical(&form).unwrap(), id);
        }
        for bad in ["", "1", "../files", "3b53bad0-8223-48db-81fb-d6600ae05a4", "bulk-delete"] {
            assert!(canonical(bad).unwrap_err().is_invalid_input(), "{bad:?}");
        }
    }
}

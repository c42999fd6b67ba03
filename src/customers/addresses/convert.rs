//! Addresses between the contract and the model.

use super::super::{convert::address_name, model::Address};
use crate::{feed, proto::pb};

macro_rules! fields {
    ($($field:ident,)*) => {
        /// Gives an address the values sent for these fields.
        pub(super) fn apply(address: &mut Address, sent: &pb::Address, paths: &[&str]) {
            for path in paths {
                match *path {
                    $(stringify!($field) => address.$field.clone_from(&sent.$field),)*
                    _ => {}
                }
            }
        }

        /// The address as the contract has it.
        pub(super) fn message(address: &Address) -> pb::Address {
            let name = address_name(&address.customer, &address.id);
            let etag = feed::etag(&name, address.version);
            pb::Address {
                name,
                $($field: address.$field.clone(),)*
                create_time: Some(feed::timestamp(address.create_time)),
                update_time: Some(feed::timestamp(address.update_time)),
                etag,
            }
        }
    };
}

fields! {
    label,
    first_name,
    last_name,
    company,
    vat_number,
    tax_id,
    line1,
    line2,
    city,
    postal_code,
    region,
    country_code,
    phone,
    mobile,
    note,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_changes() {
        let sent = pb::Address {
            city: "Lyon".to_owned(),
            line1: "1 rue de la Paix".to_owned(),
            ..pb::Address::default()
        };
        let mut address = Address {
            line1: "2 rue Neuve".to_owned(),
            ..Address::default()
        };

        apply(&mut address, &sent, &["city"]);

        assert_eq!(address.city, "Lyon");
        assert_eq!(address.line1, "2 rue Neuve");
    }
}

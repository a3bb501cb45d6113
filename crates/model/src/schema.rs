//! How ids, checksums and settings are told in OpenAPI.

use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::{ProfileName, Rate, Settings, Timetable};

/// So many hexadecimal digits.
pub(crate) fn digits(count: usize) -> RefOr<Schema> {
    let pattern = format!("^[0-9a-fA-F]{{{count}}}$");
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).into()
}

/// A place holder: their schema is schemars', which whoever makes the document puts here.
impl PartialSchema for Settings {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Object).into()
    }
}

impl ToSchema for Settings {}

macro_rules! as_text {
    ($($type:ty)*) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).into()
            }
        }

        impl ToSchema for $type {}
    )*};
}
as_text!(ProfileName Rate Timetable);

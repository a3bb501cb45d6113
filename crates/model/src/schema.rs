//! How ids and checksums are told in OpenAPI.

use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

/// So many hexadecimal digits.
pub(crate) fn digits(count: usize) -> RefOr<Schema> {
    let pattern = format!("^[0-9a-fA-F]{{{count}}}$");
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).into()
}

/// A place at which a test can make an actor panic or wait (crate `fail`); nothing at all without the feature
/// `failpoints`.
macro_rules! fail_point {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
}

pub(crate) use fail_point;

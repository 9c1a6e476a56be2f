//! The setters of options: `ServerOptions::new().backlog(8).no_delay(true)`, as std's builders have them.
//!
//! The structs of options are `#[non_exhaustive]`, so that they can get more fields; a program outside this crate makes
//! them with `new` and one setter for each field that is not to have its default.

/// Within an `impl`: `new`, and for each field a setter that takes `self` by value. A field of type `Option` takes the
/// value itself or an `Option`. `field in part` is the field of the struct in the field `part`.
macro_rules! setters {
    ($($field:ident $(in $part:ident)?: $kind:ident $(<$inner:ty>)?),* $(,)?) => {
        /// The defaults.
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }

        $($crate::kernel::setters::setters!(@one $field ($($part)?) $kind $(<$inner>)?);)*
    };
    (@one $field:ident () Option<$inner:ty>) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: impl Into<Option<$inner>>) -> Self {
            self.$field = $field.into();
            self
        }
    };
    (@one $field:ident () $kind:ident) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: $kind) -> Self {
            self.$field = $field;
            self
        }
    };
    (@one $field:ident ($part:ident) $($kind:tt)*) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](field@crate::TcpOptions::", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: $crate::kernel::setters::setters!(@taken $($kind)*)) -> Self {
            self.$part = self.$part.$field($field);
            self
        }
    };
    (@taken Option<$inner:ty>) => { impl Into<Option<$inner>> };
    (@taken $kind:ident) => { $kind };
}

pub(crate) use setters;

//! The items of a CEL list.

use cel::common::traits::Iterable;
use cel::common::value::Val;

pub type Boxed<'v> = Box<dyn Val + 'v>;

/// The items of a list, borrowed for a comprehension.
pub struct Items<'b, 'v>(pub std::slice::Iter<'b, Boxed<'v>>);

impl<'b, 'v: 'w, 'w> cel::common::traits::Iterator<'b, 'w> for Items<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        self.0.next().map(|item| item.as_ref() as &(dyn Val + 'w))
    }
}

/// Returns the items of any list.
pub fn items<'b, 'v>(list: &'b (dyn Iterable + 'v)) -> Vec<&'b (dyn Val + 'v)> {
    let mut items = list.iter();
    std::iter::from_fn(|| items.next()).collect()
}

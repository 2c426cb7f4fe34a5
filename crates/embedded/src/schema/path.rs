//! The path to a value, built without allocating and written out only if something is wrong.

/// The path from the root of an object to a value in it.
#[derive(Clone, Copy, Debug)]
pub enum Path<'a> {
    Root,
    /// A declared field.
    Field(&'a Path<'a>, &'a str),
    /// An entry of a map.
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub fn field(&'a self, name: &'a str) -> Path<'a> {
        Path::Field(self, name)
    }

    pub fn key(&'a self, name: &'a str) -> Path<'a> {
        Path::Key(self, name)
    }

    pub fn index(&'a self, index: usize) -> Path<'a> {
        Path::Index(self, index)
    }

    /// Returns the path as errors about fields spell it (`k8s.io/apimachinery/pkg/util/validation/field`):
    /// `spec.plans[0].labels[a]`; `<nil>` for the root.
    pub fn text(&self) -> String {
        if matches!(self, Path::Root) {
            return "<nil>".into();
        }
        let mut out = String::new();
        self.write(&mut out, |key| format!("[{key}]"));
        out
    }

    /// Returns the path as `kube-openapi` spells it in its messages: `spec.plans[0].labels.a`; empty for the root.
    pub fn name(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, |key| format!(".{key}"));
        out
    }

    fn write(&self, out: &mut String, key: fn(&str) -> String) {
        match self {
            Path::Root => {}
            Path::Field(parent, name) => {
                parent.write(out, key);
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(name);
            }
            Path::Key(parent, name) => {
                parent.write(out, key);
                out.push_str(&key(name));
            }
            Path::Index(parent, index) => {
                parent.write(out, key);
                out.push_str(&format!("[{index}]"));
            }
        }
    }
}

//! One list of the lists of several places: what watches of several namespaces see, as one watch would see it.

use kube::ResourceExt;
use kube::runtime::watcher::Event;
use std::collections::BTreeMap;

/// The namespace of an object, or its name if it has none. Each place has a watch.
pub fn place_of(object: &impl ResourceExt) -> String {
    object.namespace().unwrap_or_else(|| object.name_any())
}

/// Turns the events of the watches of several places into those of one watch.
pub struct Gathering<K> {
    places: Vec<Place<K>>,
    /// Whether every place was listed once: before, nothing is passed on.
    is_whole: bool,
}

struct Place<K> {
    name: String,
    /// What is there; not kept any longer once every place was listed.
    objects: BTreeMap<String, K>,
    /// What a list under way has shown so far.
    listing: Vec<K>,
    is_listed: bool,
}

impl<K: ResourceExt + Clone> Gathering<K> {
    pub fn of(places: impl IntoIterator<Item = String>) -> Self {
        let place = |name| Place { name, objects: BTreeMap::new(), listing: Vec::new(), is_listed: false };
        let places: Vec<_> = places.into_iter().map(place).collect();
        Gathering { is_whole: places.is_empty(), places }
    }

    /// What the `nth` place has of that name, while not every place was listed.
    pub fn find(&self, nth: usize, name: &str) -> Option<K> {
        self.places.get(nth)?.objects.get(name).cloned()
    }

    /// Takes an event of the watch of the `nth` place. Returns what one watch of all places would have seen; `now` is
    /// everything that it has shown so far.
    pub fn take(&mut self, nth: usize, event: Event<K>, now: impl FnOnce() -> Vec<K>) -> Vec<Event<K>> {
        let Some(place) = self.places.get_mut(nth) else { return Vec::new() };
        match event {
            Event::Init => place.listing.clear(),
            Event::InitApply(object) => place.listing.push(object),
            Event::InitDone => {
                let listed = std::mem::take(&mut place.listing);
                place.is_listed = true;
                if self.is_whole {
                    let name = &place.name;
                    let elsewhere = now().into_iter().filter(|object| place_of(object) != *name);
                    return whole(elsewhere.chain(listed));
                }
                place.objects = listed.into_iter().map(|object| (object.name_any(), object)).collect();
                self.is_whole = self.places.iter().all(|place| place.is_listed);
                if self.is_whole {
                    let all: Vec<_> = self.places.iter_mut().map(|place| std::mem::take(&mut place.objects)).collect();
                    return whole(all.into_iter().flat_map(BTreeMap::into_values));
                }
            }
            seen if self.is_whole => return vec![seen],
            Event::Apply(object) => _ = place.objects.insert(object.name_any(), object),
            Event::Delete(object) => _ = place.objects.remove(&object.name_any()),
        }
        Vec::new()
    }
}

fn whole<K>(objects: impl Iterator<Item = K>) -> Vec<Event<K>> {
    [Event::Init].into_iter().chain(objects.map(Event::InitApply)).chain([Event::InitDone]).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use kube::api::ObjectMeta;

    use super::*;

    fn secret(namespace: &str, name: &str) -> Secret {
        let (namespace, name) = (Some(namespace.to_owned()), Some(name.to_owned()));
        Secret { metadata: ObjectMeta { namespace, name, ..ObjectMeta::default() }, ..Secret::default() }
    }

    fn shown(events: Vec<Event<Secret>>) -> Vec<String> {
        let shown = |event: &Event<Secret>| match event {
            Event::Init => "init".to_owned(),
            Event::InitDone => "done".to_owned(),
            Event::InitApply(of) | Event::Apply(of) => format!("{}/{}", place_of(of), of.name_any()),
            Event::Delete(of) => format!("-{}/{}", place_of(of), of.name_any()),
        };
        events.iter().map(shown).collect()
    }

    #[test]
    fn nothing_is_shown_before_every_place_was_listed_and_a_new_list_of_one_keeps_the_others() {
        let mut gathering = Gathering::of(["a", "b"].map(str::to_owned));
        let mut take = |nth, event, now: &[Secret]| shown(gathering.take(nth, event, || now.to_vec()));
        let none: [&str; 0] = [];
        assert_eq!(take(0, Event::Init, &[]), none);
        assert_eq!(take(0, Event::InitApply(secret("a", "1")), &[]), none);
        assert_eq!(take(0, Event::InitApply(secret("a", "2")), &[]), none);
        assert_eq!(take(0, Event::InitDone, &[]), none, "b was not listed");
        assert_eq!(take(0, Event::Apply(secret("a", "3")), &[]), none);
        assert_eq!(take(0, Event::Delete(secret("a", "2")), &[]), none);
        assert_eq!(take(1, Event::Init, &[]), none);
        assert_eq!(take(1, Event::InitApply(secret("b", "1")), &[]), none);
        assert_eq!(take(1, Event::InitDone, &[]), ["init", "a/1", "a/3", "b/1", "done"]);
        assert_eq!(take(1, Event::Apply(secret("b", "2")), &[]), ["b/2"]);
        assert_eq!(take(0, Event::Delete(secret("a", "3")), &[]), ["-a/3"]);
        let now = [secret("a", "1"), secret("b", "1"), secret("b", "2")];
        assert_eq!(take(1, Event::Init, &now), none);
        assert_eq!(take(1, Event::InitApply(secret("b", "2")), &now), none);
        assert_eq!(take(0, Event::Apply(secret("a", "4")), &now), ["a/4"], "a is not held up");
        assert_eq!(take(1, Event::InitDone, &now), ["init", "a/1", "b/2", "done"]);
    }
}

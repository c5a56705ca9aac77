//! Random histories: changes, savings that are cut short, starts with the shelf, with an older
//! shelf, or without it. After each start the index must find exactly the objects of the collection.

use super::world::{Process, World};
use super::{insert, remove, version};
use crate::Identity;

#[test]
fn random_histories_end_with_the_right_entries() {
    for seed in 1..=60 {
        let mut w = World::new(seed, [1 << 17, 1 << 20, 1 << 26][seed as usize % 3]);
        for start in 0..6 {
            let mut p = w.start();
            w.check(&mut p);
            if start % 3 == 1 {
                assert_eq!((w.fed, w.listed), (0, 0), "seed {}: the shelf is not up to date", seed);
            }
            for _ in 0..w.random.below(8) {
                for _ in 0..w.random.below(200) {
                    w.change(&mut p, 300);
                }
                w.anew = w.random.below(16) == 0;
                w.save(&mut p, false);
            }
            if start % 3 == 0 {
                w.save(&mut p, false); // and what was saved is all there is
            } else {
                for _ in 0..20 {
                    w.change(&mut p, 300);
                }
                w.save(&mut p, true);
            }
            w.check(&mut p);
            p.stop();
            match w.random.below(8) {
                0 if start % 3 != 0 => w.shelf.clear(),
                1 if start % 3 != 0 => w.shelf = w.older.clone(),
                _ => {}
            }
        }
    }
}

/// Steady overwriting writes at most four bytes for each byte of changed entries, and many small
/// savings leave few blobs.
#[test]
fn overwriting_writes_little_more_than_the_changes() {
    let mut w = World::new(7, 1 << 22);
    let mut p = w.start();
    let put = |w: &mut World, p: &mut Process, n: u64| {
        w.version += 1;
        let id = version(n, w.version);
        p.send(&insert(id, &[b'a'; 100]));
        w.objects.insert(id.value(), (id, vec![b'a'; 100]));
    };
    for n in 0..4000 {
        put(&mut w, &mut p, n);
    }
    w.save(&mut p, false);
    w.written = 0;
    for _ in 0..1000 {
        for _ in 0..50 {
            let n = w.random.below(4000);
            put(&mut w, &mut p, n);
        }
        w.save(&mut p, false);
    }
    let changed = 50_000 * 145;
    println!("{} bytes written for {} bytes changed, {} blobs", w.written, changed, w.shelf.len());
    assert!(w.written <= 4 * changed, "{} bytes are written for {} bytes of changes", w.written, changed);
    assert!(w.shelf.len() < 1000, "{} blobs", w.shelf.len());
    p.stop();
    let mut p = w.start();
    assert_eq!(w.fed, 0);
    w.check(&mut p);
    p.stop();
}

/// A collection that does not fit leaves the index right, and part of it is fed anew.
#[test]
fn a_full_shelf_keeps_what_fits() {
    let mut w = World::new(9, 1 << 16);
    let mut p = w.start();
    for _ in 0..20 {
        for _ in 0..400 {
            w.change(&mut p, 3000);
        }
        w.save(&mut p, false);
    }
    w.check(&mut p);
    p.stop();
    let mut p = w.start();
    assert!(0 < w.fed && w.fed < w.objects.len(), "{} of {} objects are fed", w.fed, w.objects.len());
    w.check(&mut p);
    let many: Vec<Identity> = w.objects.values().map(|(id, _)| *id).skip(300).collect();
    for id in many {
        w.objects.remove(&id.value());
        p.send(&remove(id));
    }
    for _ in 0..20 {
        w.save(&mut p, false); // the removals make space for what did not fit
    }
    p.stop();
    let mut p = w.start();
    assert_eq!((w.fed, w.listed), (0, 0), "what fits is saved");
    w.check(&mut p);
    p.stop();
}

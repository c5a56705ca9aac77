// A Task that uses Rust's standard library as an author of Tasks would.
use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{mpsc, Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

fn main() {
    let mut input = unsafe { UnixStream::from_raw_fd(3) };
    let mut output = input.try_clone().expect("a second descriptor of the channel");
    let mut line = [0u8; 64];
    input.read(&mut line).expect("a line");
    println!("to standard output");
    eprintln!("to standard error");
    let shared = Arc::new((Mutex::new(0), Condvar::new()));
    let (sender, receiver) = mpsc::channel();
    let mut threads = vec![];
    for i in 0..8 {
        let (shared, sender) = (shared.clone(), sender.clone());
        threads.push(thread::spawn(move || {
            for _ in 0..100 {
                *shared.0.lock().unwrap() += 1;
                shared.1.notify_all();
            }
            thread::sleep(Duration::from_millis(1));
            sender.send(i).unwrap();
        }));
    }
    let mut count = shared.0.lock().unwrap();
    while *count < 800 {
        count = shared.1.wait_timeout(count, Duration::from_secs(1)).unwrap().0;
    }
    drop(count);
    for t in threads {
        t.join().unwrap();
    }
    drop(sender);
    let seen: HashMap<i32, ()> = receiver.iter().map(|i| (i, ())).collect();
    let caught = thread::spawn(|| panic!("a panic that is caught")).join().is_err();
    let processors = thread::available_parallelism().is_ok();
    let good = seen.len() == 8 && caught && processors;
    output.write_all(if good { b"done\n" } else { b"not done\n" }).expect("an answer");
}

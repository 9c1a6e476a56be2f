//! The whole loop beside the least that can be done with mio: an echo of 64 connections, in this process, with the same
//! clients. `cargo bench --bench loops`.
//!
//! The servers run on threads of their own; a round is one message on each connection, there and back.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on says so")]

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;

use divan::Bencher;
use divan::counter::ItemsCount;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use tidegate::EventLoop;

const CONNECTIONS: usize = 64;

fn main() {
    divan::main();
}

#[divan::bench]
fn least_with_mio(bencher: Bencher) {
    rounds(bencher, serve_with_mio());
}

#[divan::bench]
fn tidegate_with_a_pipe(bencher: Bencher) {
    rounds(
        bencher,
        serve(|socket| {
            let itself = socket.id();
            socket.pipe(itself).expect("the socket is there");
        }),
    );
}

#[divan::bench]
fn tidegate_with_a_closure(bencher: Bencher) {
    rounds(
        bencher,
        serve(|socket| {
            socket.on_data(|socket, chunk| {
                socket.write(chunk);
            });
        }),
    );
}

fn rounds(bencher: Bencher, address: SocketAddr) {
    let mut clients: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| {
            let client = TcpStream::connect(address).expect("it listens");
            client.set_nodelay(true).expect("it is connected");
            client
        })
        .collect();
    let mut answer = [0; 64];
    bencher.counter(ItemsCount::new(CONNECTIONS)).bench_local(|| {
        for client in &mut clients {
            client.write_all(&[b'x'; 64]).expect("it is connected");
        }
        for client in &mut clients {
            client.read_exact(&mut answer).expect("it echoes");
        }
    });
}

/// Ends with the process.
fn serve(connection: impl Fn(&mut tidegate::Socket<'_, ()>) + Send + 'static) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut event_loop = EventLoop::new().expect("there are descriptors");
        let options = tidegate::ServerOptions::new().no_delay(true);
        let server = event_loop.listen_with("127.0.0.1:0", options, connection).expect("there is a port");
        tell.send(event_loop.net.server_address(server).expect("it listens")).expect("somebody waits for it");
        event_loop.run().expect("it runs");
    });
    told.recv().expect("it listens")
}

/// No queue, no limit, no clock, no ends: whoever is readable is read once, and what was read is written at once.
fn serve_with_mio() -> SocketAddr {
    const LISTENER: Token = Token(usize::MAX);
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || -> std::io::Result<()> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(1024);
        let mut streams = HashMap::new();
        let mut buffer = vec![0; 65536];
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        loop {
            poll.poll(&mut events, None)?;
            for event in &events {
                if event.token() == LISTENER {
                    while let Ok((mut stream, _)) = listener.accept() {
                        stream.set_nodelay(true)?;
                        let token = Token(streams.len());
                        poll.registry().register(&mut stream, token, Interest::READABLE)?;
                        streams.insert(token, stream);
                    }
                } else if let Some(stream) = streams.get_mut(&event.token()) {
                    match stream.read(&mut buffer) {
                        Ok(0) => {
                            streams.remove(&event.token());
                        }
                        Ok(length) => stream.write_all(&buffer[..length])?,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    });
    address
}

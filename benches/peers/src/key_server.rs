//! A JWK Set at an address, for peers that take keys from nowhere else. Asked before anything is
//! measured, never while.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

/// Serves `jwks` on the loopback interface, with leave to keep it for a day, and returns the URL.
pub(crate) fn serve(jwks: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let read = stream.read(&mut buffer).unwrap();
                if read == 0 {
                    break;
                }
                request.extend_from_slice(&buffer[..read]);
            }
            let length = jwks.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: max-age=86400\r\n\
                 content-length: {length}\r\nconnection: close\r\n\r\n{jwks}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    format!("http://{address}/jwks.json")
}

/// Runs what has to wait for the network, on a runtime that is gone afterwards.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

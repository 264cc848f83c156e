//! A server of chat completions on this machine, which answers what a test tells it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

/// Serves until the test ends.
pub(crate) struct ChatServer {
    pub(crate) url: String,
    asked: Arc<AtomicUsize>,
}

impl ChatServer {
    /// Answers the user's turn by `reply`; every connection carries one request.
    pub(crate) fn start(reply: fn(&str) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let count = Arc::clone(&count);
                thread::spawn(move || {
                    // A program that was killed leaves its connection.
                    if answer(stream, reply).is_ok() {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { url, asked }
    }

    /// How many requests were answered.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(stream: TcpStream, reply: fn(&str) -> String) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line)? > 0 && !line.trim().is_empty() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request: Value = serde_json::from_slice(&body)?;
    let turns = request["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let user = turns.last().and_then(|turn| turn["content"].as_str()).unwrap_or_default();
    let body = json!({
        "choices": [{ "finish_reason": "stop", "message": { "role": "assistant", "content": reply(user) } }],
        "usage": { "prompt_tokens": 100, "completion_tokens": 10 },
    })
    .to_string();
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()
}

//! A small server on loopback that behaves as badly as a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// How many came before it.
    pub(crate) number: usize,
    pub(crate) at: Instant,
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Seen {
    /// What the last turn says.
    pub(crate) fn question(&self) -> String {
        self.body["messages"].as_array().unwrap().last().unwrap()["content"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// What the server does with a request.
pub(crate) enum Act {
    /// Status, further headers (each with its line end), content type, body.
    Respond(u16, String, &'static str, Vec<u8>),
    /// Closes without a word.
    Close,
    /// Announces the whole response but closes after so many bytes of its body.
    CloseInside(Vec<u8>, usize),
    /// Says nothing for so long, then closes.
    Stall(Duration),
    /// Sends the head and half of the body, and then nothing for so long.
    StallInside(Vec<u8>, Duration),
    /// Does another act after so long.
    After(Duration, Box<Act>),
}

impl Act {
    /// A proper reply.
    pub(crate) fn reply(text: &str) -> Act {
        Act::json(&completion(&json!({"content": text}), &json!("stop")))
    }

    pub(crate) fn json(body: &Value) -> Act {
        Act::Respond(200, String::new(), "application/json", body.to_string().into_bytes())
    }

    /// An error in the format of `OpenAI`.
    pub(crate) fn error(status: u16, message: &str, code: &str) -> Act {
        let body = json!({"error": {"message": message, "type": "x", "param": null, "code": code}});
        Act::Respond(status, String::new(), "application/json", body.to_string().into_bytes())
    }

    /// A refusal with `Retry-After` and whatever other headers.
    pub(crate) fn busy(status: u16, headers: &str) -> Act {
        let body = json!({"error": {"message": "slow down"}}).to_string().into_bytes();
        Act::Respond(status, headers.to_owned(), "application/json", body)
    }
}

/// The body of a completion with 10 tokens read and 5 written.
pub(crate) fn completion(message: &Value, finish: &Value) -> Value {
    json!({
        "id": "x",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    })
}

#[derive(Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Log {
    fn leave(&self) {
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct Server {
    address: SocketAddr,
    log: Arc<Log>,
}

impl Server {
    /// Starts a server that does with each request what `plan` says. Its threads end with the process.
    pub(crate) fn start(plan: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (log, plan) = (Arc::new(Log::default()), Arc::new(plan));
        let server = Server { address, log: Arc::clone(&log) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, plan) = (Arc::clone(&log), Arc::clone(&plan));
                thread::spawn(move || drop(serve(stream.unwrap(), &log, plan.as_ref())));
            }
        });
        server
    }

    /// A server that does one act after another, and the last one for ever.
    pub(crate) fn script(acts: Vec<fn() -> Act>) -> Server {
        Server::start(move |seen| acts[seen.number.min(acts.len() - 1)]())
    }

    /// A server that repeats the question.
    pub(crate) fn echo() -> Server {
        Server::start(|seen| Act::reply(&format!("re: {}", seen.question())))
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen().len()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.log.most_at_once.load(Ordering::SeqCst)
    }
}

/// Serves the requests of one connection.
fn serve(stream: TcpStream, log: &Log, plan: &dyn Fn(&Seen) -> Act) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head += &line;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let at_once = log.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        log.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        let seen = {
            let mut all = log.seen.lock().unwrap();
            let body = serde_json::from_slice(&body).unwrap();
            let number = all.len();
            all.push(Seen { number, at: Instant::now(), head, body });
            all.last().unwrap().clone()
        };
        let act = plan(&seen);
        let goes_on = perform(act, &mut writer, &|| log.leave())?;
        if !goes_on {
            return Ok(());
        }
    }
}

/// Does it; says whether the connection stays open. `leave` is called before the client can know that
/// its request has ended.
fn perform(act: Act, writer: &mut TcpStream, leave: &dyn Fn()) -> std::io::Result<bool> {
    let head = |status: u16, headers: &str, kind: &str, length: usize| {
        format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n{headers}Content-Length: {length}\r\n\r\n"
        )
    };
    match act {
        Act::After(time, act) => {
            thread::sleep(time);
            return perform(*act, writer, leave);
        }
        Act::Respond(status, headers, kind, body) => {
            leave();
            let mut bytes = head(status, &headers, kind, body.len()).into_bytes();
            bytes.extend(body);
            writer.write_all(&bytes)?;
            return Ok(true);
        }
        Act::Close => leave(),
        Act::CloseInside(body, bytes) => {
            leave();
            writer.write_all(head(200, "", "application/json", body.len()).as_bytes())?;
            writer.write_all(&body[..bytes])?;
        }
        Act::Stall(time) => {
            leave();
            thread::sleep(time);
        }
        Act::StallInside(body, time) => {
            leave();
            writer.write_all(head(200, "", "application/json", body.len()).as_bytes())?;
            writer.write_all(&body[..body.len() / 2])?;
            thread::sleep(time);
        }
    }
    Ok(false)
}

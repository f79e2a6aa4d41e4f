//! `gstwish SECONDS PIPELINE`: `gst-launch` with the elements of gst-plugins-rs that speak WHIP and WHEP built in.
//!
//! Prints `{"frames_video": n, "frames_audio": n}`, the buffers that passed the elements named `video` and `audio` if there are such. Ends by setting
//! the pipeline to NULL, which makes those elements send their DELETE. Exit 1 after an error on the bus, which stderr then tells.

use gst::prelude::*;
use std::{
    env,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("gstwish: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut args = env::args().skip(1);
    let seconds: u64 = args.next().ok_or("usage: gstwish SECONDS PIPELINE")?.parse()?;
    let description = args.collect::<Vec<_>>().join(" ");
    gst::init()?;
    gstrswebrtc::plugin_register_static()?;
    gstwebrtchttp::plugin_register_static()?;
    gstrsrtp::plugin_register_static()?;
    let pipeline =
        gst::parse::launch(&description)?.downcast::<gst::Pipeline>().map_err(|_| "the description is no pipeline")?;
    let (video, audio) = (counter(&pipeline, "video"), counter(&pipeline, "audio"));
    pipeline.set_state(gst::State::Playing)?;
    let outcome = listen(&pipeline, Duration::from_secs(seconds));
    pipeline.set_state(gst::State::Null)?;
    let (video, audio) = (video.load(Ordering::Relaxed), audio.load(Ordering::Relaxed));
    println!("{{\"frames_video\": {video}, \"frames_audio\": {audio}}}");
    outcome
}

/// Counts buffers into the element of that name; stays 0 when there is none.
fn counter(pipeline: &gst::Pipeline, name: &str) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    if let Some(pad) = pipeline.by_name(name).and_then(|element| element.static_pad("sink")) {
        let count = Arc::clone(&count);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    }
    count
}

/// Until the time is over, the stream ends, or the bus tells an error.
fn listen(pipeline: &gst::Pipeline, time: Duration) -> Result<(), Failure> {
    let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
    let wait = gst::ClockTime::from_mseconds(time.as_millis().try_into()?);
    let told = bus.timed_pop_filtered(wait, &[gst::MessageType::Error, gst::MessageType::Eos]);
    match told.as_ref().map(|message| (message, message.view())) {
        Some((message, gst::MessageView::Error(error))) => {
            let from = message.src().map(|source| source.path_string().to_string()).unwrap_or_default();
            Err(format!("{from}: {}", error.error()).into())
        }
        _ => Ok(()),
    }
}

// The media of one mount: an output's pictures, packed for RTP.
#pragma once

#include <gst/rtsp-server/rtsp-server.h>

#include <memory>

#include "census.h"
#include "output.h"

namespace framebus {

// A factory whose only, shared media serves the output over these transports.
// Each media is counted in `medias` until it is gone. Transfer full.
GstRTSPMediaFactory* make_media_factory(std::shared_ptr<Output> output,
                                        std::shared_ptr<Census> medias,
                                        GstRTSPLowerTrans transports);

// A client has started to play a media of such a factory.
void play_media(GstRTSPMedia* media);

}  // namespace framebus

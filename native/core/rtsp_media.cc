#include "rtsp_media.h"

#include <utility>

#include "gst_ptr.h"
#include "rtsp_feed.h"

namespace framebus {
namespace {

constexpr const char* kFeedKey = "framebus-feed";
// The appsrc is bounded by RtspFeed, which drops up to the next keyframe. h264parse puts the
// parameter sets before each keyframe; rtph264pay would put them before each of its slices,
// where ffmpeg takes them for a new picture.
constexpr const char* kLaunch =
    "( appsrc name=source is-live=true format=time max-bytes=0"
    " ! h264parse config-interval=-1"
    " ! rtph264pay name=pay0 pt=96 config-interval=0 )";
constexpr const char* kLaunchH265 =
    "( appsrc name=source is-live=true format=time max-bytes=0"
    " ! h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=au"
    " ! rtph265pay name=pay0 pt=96 config-interval=0 )";

// Most that waits in front of the TCP clients, or of the UDP ones, where there are both.
constexpr guint kBranchBytes = 4U << 20;

struct MountContext {
  std::shared_ptr<Output> output;
  std::shared_ptr<Census> medias;
};

// Lives as long as its media.
struct MediaContext {
  MediaContext(std::shared_ptr<Output> from, std::shared_ptr<Census> medias,
               std::shared_ptr<RtspFeed> to)
      : output(std::move(from)), census(std::move(medias)), feed(std::move(to)) {
    census->born();
  }
  ~MediaContext() {
    leave();
    census->gone();
  }
  MediaContext(const MediaContext&) = delete;
  MediaContext& operator=(const MediaContext&) = delete;

  void leave() const {
    output->remove_sink(feed.get());
    feed->detach();
  }

  const std::shared_ptr<Output> output;
  const std::shared_ptr<Census> census;
  const std::shared_ptr<RtspFeed> feed;
};

MediaContext* context_of(GstRTSPMedia* media) {
  return static_cast<MediaContext*>(g_object_get_data(G_OBJECT(media), kFeedKey));
}

// Where there are TCP and UDP clients, the library forks to both through queues of one
// packet. With TCP clients that do not read, that would stop the UDP clients as well.
void loosen_queue(GstElement* element) {
  const GstElementFactory* factory = gst_element_get_factory(element);
  if (factory == nullptr || g_strcmp0(GST_OBJECT_NAME(factory), "queue") != 0) return;
  gst_util_set_object_arg(G_OBJECT(element), "leaky", "downstream");
  g_object_set(element, "max-size-buffers", 0U, "max-size-bytes", kBranchBytes, nullptr);
}

void loosen_queues(GstElement* bin) {
  const GstPtr<GstElement> pipeline(GST_ELEMENT(gst_object_get_parent(GST_OBJECT(bin))));
  if (pipeline == nullptr) return;
  g_signal_connect(pipeline.get(), "element-added",
                   G_CALLBACK(+[](GstBin*, GstElement* added, gpointer) { loosen_queue(added); }),
                   nullptr);
}

void configure(GstRTSPMedia* media, const MountContext& mount) {
  std::optional<Keyframe> keyframe = mount.output->last_keyframe();
  if (!keyframe) return;  // Not admitted by the server.
  const GstPtr<GstElement> bin(gst_rtsp_media_get_element(media));
  loosen_queues(bin.get());
  const GstPtr<GstElement> source(gst_bin_get_by_name(GST_BIN(bin.get()), "source"));
  const auto feed = std::make_shared<RtspFeed>(mount.output, source.get(), std::move(*keyframe));
  feed->attach();
  auto context = std::make_unique<MediaContext>(mount.output, mount.medias, feed);
  g_object_set_data_full(G_OBJECT(media), kFeedKey, context.release(), [](gpointer given) {
    const std::unique_ptr<MediaContext> owned(static_cast<MediaContext*>(given));
  });
  g_signal_connect(media, "unprepared", G_CALLBACK(+[](GstRTSPMedia* gone, gpointer) {
                     if (const MediaContext* left = context_of(gone)) left->leave();
                   }),
                   nullptr);
  mount.output->add_sink(feed);
}

}  // namespace

GstRTSPMediaFactory* make_media_factory(std::shared_ptr<Output> output,
                                        std::shared_ptr<Census> medias,
                                        GstRTSPLowerTrans transports) {
  GstRTSPMediaFactory* factory = gst_rtsp_media_factory_new();
  const bool h264 = output->options().encode.codec == VideoCodec::kH264;
  gst_rtsp_media_factory_set_launch(factory, h264 ? kLaunch : kLaunchH265);
  gst_rtsp_media_factory_set_shared(factory, TRUE);
  gst_rtsp_media_factory_set_protocols(factory, transports);
  auto context = std::make_unique<MountContext>(MountContext{std::move(output), std::move(medias)});
  g_signal_connect_data(
      factory, "media-configure",
      G_CALLBACK(+[](GstRTSPMediaFactory*, GstRTSPMedia* media, gpointer mount) {
        configure(media, *static_cast<MountContext*>(mount));
      }),
      context.release(),
      [](gpointer given, GClosure*) {
        const std::unique_ptr<MountContext> owned(static_cast<MountContext*>(given));
      },
      static_cast<GConnectFlags>(0));
  return factory;
}

void play_media(GstRTSPMedia* media) {
  if (const MediaContext* context = context_of(media)) context->feed->play();
}

}  // namespace framebus

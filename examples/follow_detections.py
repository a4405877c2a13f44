"""Follows the records of all streams, each once, whatever is restarted in between:

    /usr/bin/python3 examples/follow_detections.py gen/descriptor.binpb place.txt [ADDRESS [COUNT]]

Needs Debian's python3-grpcio and python3-protobuf, and no generated code: the messages
are made of the descriptors that `npm run setup` leaves in gen/. See docs/detections.md.
"""

import os
import sys
import time

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "framebus.detection.v1.DetectionService"
MAY_PASS = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)


def message_classes(path):
    """The classes of the request and of the response of Subscribe."""
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as file:
        files.ParseFromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    method = pool.FindServiceByName(SERVICE).FindMethodByName("Subscribe")
    if hasattr(message_factory, "GetMessageClass"):
        make = message_factory.GetMessageClass
    else:
        make = message_factory.MessageFactory(pool).GetPrototype
    return make(method.input_type), make(method.output_type)


def read_place(path):
    """Empty at first."""
    try:
        with open(path) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def write_place(path, cursor):
    """The file is whole whenever this program ends."""
    with open(path + ".part", "w") as file:
        file.write(cursor + "\n")
    os.replace(path + ".part", path)


def main(descriptors, place, address="127.0.0.1:50051", count="0"):
    request, response = message_classes(descriptors)
    channel = grpc.insecure_channel(address, options=[("grpc.keepalive_time_ms", 10_000)])
    subscribe = channel.unary_stream(
        f"/{SERVICE}/Subscribe",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response.FromString,
    )
    left = int(count) or None
    cursor = read_place(place)
    while left is None or left > 0:
        start = {"resume_after": cursor, "skip_expired": True} if cursor else {"from_beginning": True}
        call = subscribe(request(**start))
        try:
            for item in call:
                for missed in item.missed:
                    print(f"{missed.count} records are missing (reason {missed.reason})", file=sys.stderr)
                if item.HasField("record"):
                    seen = [f"{seen.label} {seen.track_id}" for seen in item.record.detections]
                    milliseconds = (item.record.latency_ns + item.record.stages.capture_ns) / 1e6
                    print(item.record.stream_id, item.record.seq, ", ".join(seen), f"{milliseconds:.1f} ms", flush=True)
                if item.cursor:
                    cursor = item.cursor
                    write_place(place, cursor)
                if item.HasField("record") and left is not None:
                    left -= 1
                    if left == 0:
                        break
        except grpc.RpcError as error:
            if error.code() not in MAY_PASS:
                raise
            print(f"{error.details()}; trying again", file=sys.stderr)
            time.sleep(1)
        finally:
            call.cancel()


main(*sys.argv[1:])

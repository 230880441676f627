package dev.vireo.controller.store;

import com.google.protobuf.ByteString;
import io.etcd.jetcd.api.KVGrpc;
import io.etcd.jetcd.api.PutRequest;
import io.etcd.jetcd.api.RangeRequest;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import java.net.URI;

/** Another hand in the same etcd, which knows nothing of the store. */
record EtcdTool(URI endpoint) {
  void put(String key, String value) {
    ManagedChannel channel = channel();
    try {
      PutRequest put =
          PutRequest.newBuilder()
              .setKey(ByteString.copyFromUtf8(key))
              .setValue(ByteString.copyFromUtf8(value))
              .build();
      KVGrpc.newBlockingStub(channel).put(put);
    } finally {
      channel.shutdownNow();
    }
  }

  String get(String key) {
    ManagedChannel channel = channel();
    try {
      RangeRequest get = RangeRequest.newBuilder().setKey(ByteString.copyFromUtf8(key)).build();
      return KVGrpc.newBlockingStub(channel).range(get).getKvs(0).getValue().toStringUtf8();
    } finally {
      channel.shutdownNow();
    }
  }

  private ManagedChannel channel() {
    return NettyChannelBuilder.forAddress(endpoint.getHost(), endpoint.getPort())
        .usePlaintext()
        .build();
  }
}

package dev.vireo.controller.store;

import com.google.protobuf.ByteString;
import io.etcd.jetcd.api.AuthEnableRequest;
import io.etcd.jetcd.api.AuthGrpc;
import io.etcd.jetcd.api.AuthRoleAddRequest;
import io.etcd.jetcd.api.AuthRoleGrantPermissionRequest;
import io.etcd.jetcd.api.AuthUserAddRequest;
import io.etcd.jetcd.api.AuthUserGrantRoleRequest;
import io.etcd.jetcd.api.KVGrpc;
import io.etcd.jetcd.api.Permission;
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

  /** A user who may do everything under a prefix, and nothing without a password any more. */
  void enableUsers(String rootPassword, String user, String password, String prefix) {
    ManagedChannel channel = channel();
    try {
      var auth = AuthGrpc.newBlockingStub(channel);
      addUser(auth, "root", rootPassword, "root");
      auth.roleAdd(AuthRoleAddRequest.newBuilder().setName(user).build());
      ByteString from = ByteString.copyFromUtf8(prefix);
      Permission everything =
          Permission.newBuilder()
              .setPermType(Permission.Type.READWRITE)
              .setKey(from)
              .setRangeEnd(EtcdKeys.endOf(from))
              .build();
      auth.roleGrantPermission(
          AuthRoleGrantPermissionRequest.newBuilder().setName(user).setPerm(everything).build());
      addUser(auth, user, password, user);
      auth.authEnable(AuthEnableRequest.getDefaultInstance());
    } finally {
      channel.shutdownNow();
    }
  }

  private static void addUser(
      AuthGrpc.AuthBlockingStub auth, String user, String password, String role) {
    if (role.equals("root")) {
      auth.roleAdd(AuthRoleAddRequest.newBuilder().setName(role).build());
    }
    auth.userAdd(AuthUserAddRequest.newBuilder().setName(user).setPassword(password).build());
    auth.userGrantRole(AuthUserGrantRoleRequest.newBuilder().setUser(user).setRole(role).build());
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

// The kinds of conversation. Each begins with a connection's first message.
#pragma once

#include "connection.h"

void begin_conversation(struct connection *connection, const struct host_message *first);

// exec.c
void exec_begin(struct connection *connection, const struct exec_request *request);
// transfer.c
void read_begin(struct connection *connection, struct slice path);
void write_begin(struct connection *connection, const struct write_request *request);
// forward.c
void connect_begin(struct connection *connection, uint32_t port);

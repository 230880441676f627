/* The least of the guest agent's part in vireo/agent/v1/agent.proto: what a command costs when it does nothing. */
#ifndef AGENT_H
#define AGENT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Answers the first message of a conversation, once it is whole: the answer, which may lie where the message does, is the
 * conversation's last word. It has no bytes if the message is malformed. The commands there are, are `true` and `false`.
 */
bool agent_answer(const uint8_t *input, uint32_t length, uint8_t *answer, uint32_t *answer_length);

#endif

// The features of a message whose writes are known by TLS records. Pure; any thread.
#pragma once

#include "classifier/features.h"
#include "classifier/trace.h"
#include "classifier/writes.h"

namespace classifier {

// Adds the cuts and what they have in common. Under TLS each write shows. The place where it ends is
// looked up where the milter told of the text, else it is guessed from all sizes. Requires:
// !trace.records.empty().
void extract_tls(const Trace& trace, const Writes& writes, Features& features);

}  // namespace classifier

// The features of a message whose writes are known from TLS records. Pure; any thread.
#pragma once

#include "classifier/features.h"
#include "classifier/trace.h"
#include "classifier/writes.h"

namespace classifier {

// Adds the cuts and their features. Under TLS each write shows. If the milter was shown the text,
// the place of a cut is known from it. Else it is guessed from all sizes. Requires:
// !trace.records.empty().
void extract_tls(const Trace& trace, const Writes& writes, Features& features);

}  // namespace classifier

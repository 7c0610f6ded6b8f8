// SPDX-License-Identifier: Apache-2.0

// Package batch is the bounded queue between the code that makes telemetry and
// the exporter that sends it.
//
// It exists beside the SDK's batch processors because those drop without saying
// so, and because their shutdown goes on exporting after its context is done.
// Here every item is accounted for: exported, failed, or dropped.
package batch

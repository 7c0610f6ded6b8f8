// SPDX-License-Identifier: Apache-2.0

package chaos

// TripWire is the article number, or the customer, that a bug is waiting for.
const TripWire = "tripwire"

// Trip panics for TripWire, as the code around it would if it had a bug.
func Trip(value string) {
	if value != TripWire {
		return
	}
	var seen map[string]int
	seen[value]++ //nolint:staticcheck // the classic, and here it is meant
}

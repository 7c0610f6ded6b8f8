// SPDX-License-Identifier: Apache-2.0

package logging

// defaultKeys are the words, and words in a row, that make a key sensitive.
var defaultKeys = []string{
	// HTTP and gRPC credentials
	"authorization", "cookie", "cookies", "bearer", "jwt", "csrf", "xsrf",
	// passwords
	"password", "passwords", "passwd", "passphrase", "passcode", "pwd",
	// secrets and tokens; runs written as one word, too
	"secret", "secrets", "client_secret", "token", "access_token", "refresh_token", "id_token",
	"auth_token", "session_token",
	// keys that are secrets: "key" alone is not
	"api_key", "api_keys", "access_key", "account_key", "private_key", "secret_key", "signing_key",
	"encryption_key", "ssh_key",
	// credentials and sessions
	"credential", "credentials", "creds", "session", "session_id", "otp", "totp",
	"dsn", "connection_string",
	// payment and identity numbers
	"card_number", "credit_card", "cvv", "cvc", "ssn",
}

// defaultQueryKeys are sensitive in URLs only: signatures of presigned URLs.
var defaultQueryKeys = []string{"sig", "signature"}

// defaultAllowed are whole keys that look sensitive and are not.
var defaultAllowed = []string{"page_token", "next_page_token"}

// describing are last words that say something about a secret instead of
// holding it: token_count, password_length, secret_name, session_expires_at.
var describing = setOf(
	"count", "total", "length", "len", "size", "bytes", "limit",
	"type", "kind", "name", "status", "state", "policy", "version",
	"at", "age", "ttl", "expiry", "expires", "expiration", "duration", "seconds", "ms",
	"url", "uri", "endpoint", "enabled", "required", "present", "missing", "valid", "invalid",
)

func setOf(words ...string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
}

// maxRun is how many words in a row are looked up as one entry.
const maxRun = 3

// words are the words of a key in lower case, back to back.
type words struct {
	text   []byte
	starts []int // where each begins
}

// split cuts key at everything that is no letter and no digit, and where camel
// case starts a word: db.password, X-Api-Key, accessToken, APIKey. Digits at
// the end of a word are left out: password2 is a password. The words are
// appended to w.
func split(w words, key string) words {
	for i := 0; i < len(key); {
		if !isWordByte(key[i]) {
			i++
			continue
		}
		end := i + 1
		for end < len(key) && isWordByte(key[end]) && !startsWord(key, end) {
			end++
		}
		last := end
		for last > i && key[last-1] >= '0' && key[last-1] <= '9' {
			last--
		}
		if last == i { // a number: a word of its own
			last = end
		}
		w.starts = append(w.starts, len(w.text))
		for ; i < last; i++ {
			c := key[i]
			if isUpper(c) {
				c += 'a' - 'A'
			}
			w.text = append(w.text, c)
		}
		i = end
	}
	return w
}

// run returns the words from i to j, j included, written as one.
func (w words) run(i, j int) []byte {
	if j+1 < len(w.starts) {
		return w.text[w.starts[i]:w.starts[j+1]]
	}
	return w.text[w.starts[i]:]
}

// startsWord reports whether camel case starts a word at key[i].
func startsWord(key string, i int) bool {
	if !isUpper(key[i]) {
		return false
	}
	return !isUpper(key[i-1]) || i+1 < len(key) && isLower(key[i+1])
}

// isWordByte takes every byte past ASCII for a letter.
func isWordByte(c byte) bool {
	return isLower(c) || isUpper(c) || c >= '0' && c <= '9' || c >= 0x80
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }

// verdict says how a key bears on its value.
type verdict uint8

const (
	// plain keys hide their values inside of a sensitive group.
	plain verdict = iota
	// sensitive keys hide their values.
	sensitive
	// open keys show their values, also inside of a sensitive group.
	open
)

// hides reports whether a value under a key with verdict v is hidden, inside a
// sensitive group or not.
func (v verdict) hides(inSensitive bool) bool {
	return v == sensitive || v == plain && inSensitive
}

// judge returns the verdict on key by a list of denied runs and of allowed keys.
func judge(key string, denied, allowed map[string]bool) verdict {
	var text [64]byte
	var starts [16]int
	w := split(words{text: text[:0], starts: starts[:0]}, key)
	n := len(w.starts)
	if n == 0 {
		return plain
	}
	if allowed[string(w.text)] {
		return open
	}
	found := false
	for i := range n {
		for j := i; j < min(i+maxRun, n); j++ {
			if !denied[string(w.run(i, j))] {
				continue
			}
			if j == n-1 {
				return sensitive
			}
			found = true
		}
	}
	if describing[string(w.run(n-1, n-1))] {
		return open
	}
	if found {
		return sensitive
	}
	return plain
}

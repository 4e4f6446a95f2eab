// A ticket (docs/OPERATIONS.md, "Tickets"), made where players log in. Nothing to install.
//
//	go run ticket.go KEY-FILE SUB ROOM…     for example: go run ticket.go /etc/roomcast/tickets.key ada lobby 'match-*'
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"
)

type claims struct {
	Sub   string   `json:"sub"`
	Rooms []string `json:"rooms"`
	Exp   int64    `json:"exp"`
}

func ticket(secret []byte, sub string, rooms []string, valid time.Duration) (string, error) {
	said, err := json.Marshal(claims{sub, rooms, time.Now().Add(valid).Unix()})
	if err != nil {
		return "", err
	}
	part := base64.RawURLEncoding.EncodeToString
	signed := part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part(said)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + part(mac.Sum(nil)), nil
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 4 {
		log.Fatal("usage: go run ticket.go KEY-FILE SUB ROOM…")
	}
	secret, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	// One line break at its end is the editor's, not the secret's.
	secret = bytes.TrimSuffix(bytes.TrimSuffix(secret, []byte("\n")), []byte("\r"))
	made, err := ticket(secret, os.Args[2], os.Args[3:], 5*time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(made)
}

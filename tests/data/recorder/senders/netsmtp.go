// netsmtp.go: Go's own net/smtp
package main

import (
	"log"
	"net/smtp"
	"os"
)

func main() {
	content, err := os.ReadFile(os.Getenv("M") + ".crlf")
	if err == nil {
		err = smtp.SendMail(os.Getenv("SERVER")+":25", nil, os.Getenv("FROM"), []string{os.Getenv("TO")}, content)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// gomail.go: gopkg.in/mail.v2
package main

import (
	"log"
	"os"

	mail "gopkg.in/mail.v2"
)

func part(name string) string {
	content, err := os.ReadFile(os.Getenv("M") + "." + name)
	if err != nil {
		log.Fatal(err)
	}
	return string(content)
}

func main() {
	message := mail.NewMessage()
	message.SetHeader("From", os.Getenv("FROM"))
	message.SetHeader("To", os.Getenv("TO"))
	message.SetHeader("Subject", part("subject"))
	message.SetBody("text/plain", part("text"))
	if html := part("html"); html != "" {
		message.AddAlternative("text/html", html)
	}
	if part("bin") != "" {
		message.Attach(os.Getenv("M") + ".bin")
	}
	dialer := mail.Dialer{Host: os.Getenv("SERVER"), Port: 25, LocalName: "mail.sender.example", StartTLSPolicy: mail.NoStartTLS}
	if err := dialer.DialAndSend(message); err != nil {
		log.Fatal(err)
	}
}

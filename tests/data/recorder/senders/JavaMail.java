import java.io.FileInputStream;
import java.nio.file.*;
import java.util.Properties;
import javax.mail.*;
import javax.mail.internet.*;

/** JavaMail raw|build: the message as it is, or JavaMail's own. */
public class JavaMail {
  static String part(String name) throws Exception { return Files.readString(Path.of(System.getenv("M") + "." + name)); }

  public static void main(String[] arguments) throws Exception {
    Properties settings = new Properties();
    settings.put("mail.smtp.host", System.getenv("SERVER"));
    settings.put("mail.smtp.localhost", "mail.sender.example");
    settings.put("mail.smtp.from", System.getenv("FROM"));
    settings.put("mail.smtp.starttls.enable", String.valueOf("yes".equals(System.getenv("TLS"))));
    settings.put("mail.smtp.ssl.trust", "*");
    Session session = Session.getInstance(settings);
    MimeMessage message;
    if (arguments[0].equals("raw")) {
      message = new MimeMessage(session, new FileInputStream(System.getenv("M") + ".crlf"));
    } else {
      message = new MimeMessage(session);
      message.setFrom(System.getenv("FROM"));
      message.setSubject(part("subject"));
      message.setRecipients(Message.RecipientType.TO, System.getenv("TO"));
      MimeMultipart parts = new MimeMultipart();
      MimeBodyPart text = new MimeBodyPart();
      text.setText(part("text"));
      parts.addBodyPart(text);
      if (Files.size(Path.of(System.getenv("M") + ".bin")) > 0) {
        MimeBodyPart file = new MimeBodyPart();
        file.attachFile(System.getenv("M") + ".bin");
        parts.addBodyPart(file);
      }
      message.setContent(parts);
    }
    message.saveChanges();
    Transport.send(message, new Address[] {new InternetAddress(System.getenv("TO"))});
  }
}

import java.nio.file.*;
import org.apache.commons.mail.*;

public class CommonsEmail {
  static String part(String name) throws Exception { return Files.readString(Path.of(System.getenv("M") + "." + name)); }

  public static void main(String[] arguments) throws Exception {
    HtmlEmail mail = new HtmlEmail();
    mail.setHostName(System.getenv("SERVER"));
    mail.setFrom(System.getenv("FROM"));
    mail.addTo(System.getenv("TO"));
    mail.setSubject(part("subject"));
    mail.setTextMsg(part("text"));
    if (!part("html").isEmpty()) mail.setHtmlMsg(part("html"));
    if (Files.size(Path.of(System.getenv("M") + ".bin")) > 0) mail.attach(new java.io.File(System.getenv("M") + ".bin"));
    mail.send();
  }
}

//! What tells the languages that share a script: function words and letters.
//!
//! The words are frequent ones; a word may stand in several lists. The letters are those that the languages of the
//! script do not all have.

use unicode_script::Script;
use whichlang::Lang;

/// A language that shares its script with others.
pub(super) struct Language {
    /// ISO 639-1.
    pub(super) code: &'static str,
    pub(super) script: Script,
    /// What the classifier calls it, if it knows it.
    pub(super) classified: Option<Lang>,
    pub(super) letters: &'static str,
    pub(super) words: &'static str,
}

/// The languages that IFEval can ask for, and those of the classifier.
pub(super) static LANGUAGES: [Language; 22] = [
    Language {
        code: "ar",
        script: Script::Arabic,
        classified: Some(Lang::Ara),
        letters: "ةىكيأإ",
        words: "في من على إلى أن إن هذا هذه ذلك التي الذي لا ما مع عن هو هي كان كانت أو لم لن قد كل بعد قبل عند بين حيث \
            ثم إذا أي لقد ليس يمكن أنت نحن كما لكن خلال غير يا هل لك له لها",
    },
    Language {
        code: "fa",
        script: Script::Arabic,
        classified: None,
        letters: "پچژگکی",
        words: "و در به از که این را با است برای آن می یک تا بود خود شود شد هم ما شما من او های ها اما اگر باید کند کنید \
            بر هر نیست یا دارد باشد کرد چه همه دیگر هستند پس نمی",
    },
    Language {
        code: "ur",
        script: Script::Arabic,
        classified: None,
        letters: "ٹڈڑےںہھپچگکی",
        words: "کے کی میں ہے کا اور سے کو نے پر کہ یہ اس ہیں ہو جو بھی کر ایک نہیں تو تھا ہم وہ گیا کیا کرنے لیے آپ اپنے \
            ان تھے جا رہا ساتھ یا ہوں میرے کریں تک ہی",
    },
    Language {
        code: "bg",
        script: Script::Cyrillic,
        classified: None,
        letters: "ъ",
        words: "и на за да се не от е са в по с че при като това или ще към ли до си го му ви има той тя те ние вие аз \
            така може със във също само след беше който която които тази този тези което ми моля трябва няма бъде \
            един една едно където всички можете можем повече между без много някои техните",
    },
    Language {
        code: "ru",
        script: Script::Cyrillic,
        classified: Some(Lang::Rus),
        letters: "ыэё",
        words: "и в не на я что с по это как но из у за то все так его от для мы вы он она они был была было быть к о же \
            бы мне или если есть при уже только когда чтобы этот эта эти который которые может до",
    },
    Language {
        code: "uk",
        script: Script::Cyrillic,
        classified: None,
        letters: "іїєґ",
        words: "і в на не що та з із зі за до як це у від є для але він вона вони ми ви я по про так або якщо його її їх \
            був була було бути щоб цей ця ці який яка які може при ще вже тільки коли всі й цього той того тому \
            потрібно немає будь ласка після перед між дуже також можна треба свої своє себе де більше один одна",
    },
    Language {
        code: "hi",
        script: Script::Devanagari,
        classified: Some(Lang::Hin),
        letters: "़",
        words: "है के में की का और से को ने पर कि यह इस हैं हो जो भी कर एक नहीं तो था हम वह गया क्या करने लिए आप अपने उन \
            थे जा रहा साथ या हूँ मेरे करें तक ही थी वे जब",
    },
    Language {
        code: "mr",
        script: Script::Devanagari,
        classified: None,
        letters: "ळ",
        words: "आहे आणि आहेत या ते हे ही हा तो ती च मी आम्ही तुम्ही नाही होते होता होती असे व एक पण तर की का काय साठी \
            करा केले त्या मध्ये आपल्या किंवा त्यांच्या करण्यासाठी आपण जे म्हणून असते झाले आपला कृपया नवीन सर्व \
            यांच्या येथे अधिक कोणतीही आता पाहिजे शकता शकते शकतो मला तुमच्या तुमचा तुमची याची त्यांची खूप केली केला \
            झाली नंतर यासाठी होऊ",
    },
    Language {
        code: "ne",
        script: Script::Devanagari,
        classified: None,
        letters: "",
        words: "छ र को मा ले लाई हरू छन् यो पनि भने गर्न हुन्छ भएको गर्नुहोस् छैन तपाईं म हो एक वा त्यो लागि थियो गरेको \
            हामी गर्छ तर सबै यस अनि गरी भयो हुन यी गर्ने साथ हुनेछ तपाईंको भन्ने अर्को मात्र छु थिए सक्छ हुनुपर्छ \
            हुनु गर्नुपर्छ नयाँ तपाईँ तपाईंले सबैभन्दा धेरै अन्य कृपया कुनै गर्दै गरिएको",
    },
    Language {
        code: "de",
        script: Script::Latin,
        classified: Some(Lang::Deu),
        letters: "äöüß",
        words: "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus \
            er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber \
            vor zur bis ich du wir ihr kann wenn dieser diese dieses kein bitte",
    },
    Language {
        code: "en",
        script: Script::Latin,
        classified: Some(Lang::Eng),
        letters: "",
        words: "the of and to in a is that for it as was with be by on not he i this are or his from at which but have \
            an had they you were their one all we can her has there been if more when will would who so no she what \
            my your do its our how about just like me up out please only new any add each then than these them may \
            such most other into some also enter select",
    },
    Language {
        code: "es",
        script: Script::Latin,
        classified: Some(Lang::Spa),
        letters: "áéíóúñ",
        words: "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me si \
            sin sobre este ya entre cuando todo esta ser son también fue muy años hasta desde está mi porque yo eso \
            usted puede tu nos ni",
    },
    Language {
        code: "fi",
        script: Script::Latin,
        classified: None,
        letters: "äö",
        words: "ja on ei että se oli hän mutta ovat kun joka niin myös tai kuin sen sekä ole jos vain voi mitä nyt olla \
            tämä minä sinä me he ne jotka tämän sitä olen mukaan jossa ollut siitä kaikki hyvin sinun minun niitä \
            täytyy voit olet joita siihen tässä tälle ovatko voidaan voivat pitää pitäisi sitten ennen jälkeen aina \
            enemmän paljon esimerkiksi koska vaan ettei eivät et en ilman kanssa välillä yksi kaksi tulee anna \
            valitse tähän uusi",
    },
    Language {
        code: "fr",
        script: Script::Latin,
        classified: Some(Lang::Fra),
        letters: "àâçéèêëîïôùûœ",
        words: "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont avec son \
            aux d l ou mais comme on nous vous cette ont été ces être fait tout elle leur sa ses je si c n s qu y \
            votre aussi bien très deux",
    },
    Language {
        code: "it",
        script: Script::Latin,
        classified: Some(Lang::Ita),
        letters: "àèéìòù",
        words: "di e che la il un a per in una è non sono con del da si le della i al alla nel ma come lo più dei anche \
            gli se ha delle ho mi questo questa o dal su ci essere quando nella loro tutti molto io cosa ti suo sua \
            può degli l d",
    },
    Language {
        code: "nl",
        script: Script::Latin,
        classified: Some(Lang::Nld),
        letters: "ëï",
        words: "de van het een en in is dat op te zijn voor met die niet aan er om ook als dan maar bij of uit nog \
            worden door naar heeft hebben ze we wordt kan je hij was geen wel over tot zich deze dit zo moet u mijn",
    },
    Language {
        code: "pl",
        script: Script::Latin,
        classified: None,
        letters: "ąćęłńóśźż",
        words: "w i na się z do nie to że jest o a jak po od za co dla przez są ale ze czy tak tym przy być już było go \
            jego oraz może tylko lub który która które ich jej ja ty my ten ta te był była mi można nas bardzo \
            proszę należy więcej wszystkie jeśli jeżeli kiedy gdy nad bez podczas każdy każda aby żeby dlatego \
            jednak również między więc niż jeden mieć mogą został została",
    },
    Language {
        code: "pt",
        script: Script::Latin,
        classified: Some(Lang::Por),
        letters: "áâãàçéêíóôõú",
        words: "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das à seu \
            sua ou ser quando muito nos já está eu também só pelo pela até isso ela entre era depois sem mesmo aos \
            são você meu pode num nem",
    },
    Language {
        code: "sv",
        script: Script::Latin,
        classified: Some(Lang::Swe),
        letters: "åäö",
        words: "och i att det som en på är av för den med till inte om ett har de jag var han men sig så vi kan när \
            eller från ska du nu efter hon detta här mycket alla blir vid där över mig",
    },
    Language {
        code: "sw",
        script: Script::Latin,
        classified: None,
        letters: "",
        words: "na ya wa kwa ni katika la za kuwa cha kama hii yake hiyo au lakini huo pia sana ili vya watu kutoka si \
            mimi wewe sisi hata baada wao yao hivyo kila ambao ambayo ambaye hapa tu zaidi yangu wako kufanya mtu \
            hayo bila tafadhali kwamba wetu yetu kabla kitu jina lako tena ndani nje ilikuwa ana ina zina lina kina \
            unaweza inaweza wengi wote yote zote muhimu mara tangu juu chini mwaka kwenye jinsi vile ikiwa hakuna \
            kuna hizi hizo haya hivi huu",
    },
    Language {
        code: "tr",
        script: Script::Latin,
        classified: Some(Lang::Tur),
        letters: "çğıöşü",
        words: "ve bir bu da de için ile o ne çok gibi daha olarak ben en kadar sonra ama var mi mı değil olan ya her ki \
            biz sen şey olduğu ise veya yok nasıl bana şu oldu lütfen",
    },
    Language {
        code: "vi",
        script: Script::Latin,
        classified: Some(Lang::Vie),
        letters: "ăâđêôơưàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ",
        words: "và là của có được cho không trong các những một người này với đã từ để khi đó như về ra tôi bạn anh em \
            thì mà cũng lại nhiều rất sẽ đến nếu vào bị còn phải",
    },
];
